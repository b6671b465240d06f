"""Measure the features of light curves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from astro_lightning.core.conf import cache_folder, data_block
from astro_lightning.data.errors import BadInput

# nested: the published search as well; excise: without the terrestrial zones; max_per_day: highest frequency, cycles a day;
# min_gap_d: thin the curves to one observation in this many days, 0.0208 = the published half hour.
TRUTH = {"true": True, "false": False}
OPTIONS: dict[str, Callable[[str], Any]] = {
    "nested": TRUTH.__getitem__, "excise": TRUTH.__getitem__, "max_per_day": float, "min_gap_d": float,
}  # fmt: skip


def main(words: list[str]) -> None:
    """Measure the features of light curves: astro-lightning features [asas] IN OUT.parquet [nested=true] [min_gap_d=0.0208]."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    words = [word for word in words if "=" not in word]
    if len(words) not in (2, 3) or set(given) - set(OPTIONS):
        raise BadInput(
            "features takes a light-curve file or folder, the Parquet file to write, and any of "
            + ", ".join(f"{name}=" for name in OPTIONS)
        )
    try:
        settings = {name: OPTIONS[name](value) for name, value in given.items()}
    except (KeyError, ValueError) as error:
        raise BadInput(
            f"nested= and excise= are true or false, max_per_day= and min_gap_d= are numbers: {error}"
        ) from error
    from astro_lightning.core.build import build, reader_of

    data = data_block(words[0] if len(words) == 3 else "catalina")
    survey = reader_of(data["reader"], data["memory_gib"])
    source, out = (Path(word).expanduser() for word in words[-2:])
    measure = {"_target_": "astro_lightning.tasks.scope.catalogue.write_features", "settings": settings}
    n = build(measure, survey=survey, path=source, out=out, cache=cache_folder() / "features")
    print(f"{n} objects measured: {out}")
