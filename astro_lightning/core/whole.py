"""Checkpoint files that are there whole or not at all, also where `/tmp` is another disk than the run folder's."""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the checkpoint's place, then renames.

    Lightning's own way is by `/tmp`, from where a file is copied to another disk over the last good one: a full disk or a kill
    in between leaves neither.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        """Save under a hidden name, which the next call takes again, then rename."""
        save_whole(checkpoint, Path(path))


def save_whole(content: Any, place: Path) -> None:
    """`torch.save` under a hidden name beside the file's place, then rename.

    Raises:
        OSError: The disk is full, or nothing may be written there.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    try:
        with part.open("wb") as file:
            torch.save(content, file)
        os.replace(part, place)
    except (OSError, RuntimeError) as error:  # PyTorch says RuntimeError of a full disk
        part.unlink(missing_ok=True)
        raise OSError(f"{place}: {str(error).splitlines()[0]}") from error


def load_whole(place: Path) -> Any:
    """What `save_whole` wrote, on the processor; code inside it is never run.

    Raises:
        Exception: Nearly any, where the file is none of `torch.save`, damaged, or holds more than plain content.
    """
    with zipfile.ZipFile(place) as archive:  # PyTorch itself does not look at the checksums
        if changed := archive.testzip():
            raise OSError(f"{changed} is not as it was written")
    return torch.load(place, map_location="cpu", weights_only=True)
