"""Where a survey's files are."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astro_lightning.data.errors import BadInput


def locate(data: Mapping[str, Any], cache: Path) -> Path:
    """The folder of a survey's files.

    Looked for in this order: `data.root`; the environment's `ASTRO_LIGHTNING_DATA` joined with the survey's folder; the cache
    folder that `astro-lightning fetch` fills.

    Raises:
        BadInput: None of them exists; the message names all three and the remedy.
    """
    if data.get("root"):
        root = Path(str(data["root"])).expanduser()
        if not root.exists():
            raise BadInput(f"data.root={root} does not exist: give the folder that holds the files of {data['name']}")
        return root
    candidates = []
    if os.environ.get("ASTRO_LIGHTNING_DATA"):
        candidates.append(Path(os.environ["ASTRO_LIGHTNING_DATA"]).expanduser() / str(data["folder"]))
    candidates.append(fetched(data, cache))
    # A download that broke off leaves a folder with less than all.
    wanted = {candidates[-1]: [str(file["name"]) for file in data.get("files") or ()]}
    for candidate in candidates:
        if candidate.exists() and all((candidate / name).exists() for name in wanted.get(candidate, ())):
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise BadInput(
        f"files of {data['name']} not found (looked in {looked}): set data.root=FOLDER or ASTRO_LIGHTNING_DATA, "
        f"run `astro-lightning fetch {data['name']}`, or use data=simulated"
    )


def fetched(data: Mapping[str, Any], cache: Path) -> Path:
    """The folder that `astro-lightning fetch` fills for a survey."""
    return cache / "fetched" / str(data["name"])
