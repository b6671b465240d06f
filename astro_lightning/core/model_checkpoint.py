"""Best and last checkpoints whose folder may be moved before a run is resumed."""

import os
from typing import Any

from pytorch_lightning import callbacks


class ModelCheckpoint(callbacks.ModelCheckpoint):
    """The Trainer's own forgets its best when it finds itself in another folder, and would write a worse one over it."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What was kept, at the place where it is now."""
        old, new = str(state_dict.get("dirpath")), str(self.dirpath)
        super().load_state_dict({_moved(key, old, new): _moved(value, old, new) for key, value in state_dict.items()})


def _moved(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str) and (value == old or value.startswith(old + os.sep)):
        return new + value[len(old) :]
    return {_moved(key, old, new): kept for key, kept in value.items()} if isinstance(value, dict) else value
