"""Download cutouts of ZTF's images."""

from pathlib import Path
from typing import Any

from astro_lightning.data.errors import BadInput

OPTIONS = ("side_px", "parallel", "archive")
SHOWN = 3


def main(words: list[str]) -> None:
    """Download ZTF cutouts: astro-lightning fetch_cutouts TABLE FOLDER [side_px=28] [parallel=4] [archive=URL]."""
    options = [word for word in words if word.startswith(tuple(f"{name}=" for name in OPTIONS))]
    places = [Path(word).expanduser() for word in words if word not in options]
    given = dict(word.split("=", 1) for word in options)
    if len(places) != 2:
        raise BadInput(
            "fetch_cutouts takes a table (oid, ra_deg, dec_deg, filefracday), the folder to write, and any of "
            + ", ".join(f"{name}=" for name in OPTIONS)
        )
    for name in ("side_px", "parallel"):
        if name in given and not given[name].isdecimal():
            raise BadInput(f"{name}={given[name]}: give a whole number")
    from astro_lightning.data.surveys.ztf_cutouts import fetch_cutouts, read_sights

    sights = read_sights(places[0])
    settings: dict[str, Any] = {name: value if name == "archive" else int(value) for name, value in given.items()}
    failed = fetch_cutouts(sights, places[1], **settings)
    print(f"{len(sights) - len(failed)} of {len(sights)} cutouts: {places[1]}")
    if failed:
        raise BadInput(
            f"{len(failed)} of {len(sights)} cutouts did not come, the same command goes on with them: "
            + " | ".join(failed[:SHOWN])
            + (" | ..." if len(failed) > SHOWN else "")
        )
