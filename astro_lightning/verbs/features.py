"""Measure the features of light curves."""

from pathlib import Path

from astro_lightning.core.conf import cache_folder, data_block
from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """Measure the features of light curves: astro-lightning features IN OUT.parquet, or features asas IN OUT.parquet."""
    if len(words) not in (2, 3):
        raise BadInput("features takes a light-curve file or folder and the Parquet file to write")
    from astro_lightning.core.build import build

    data = data_block(words[0] if len(words) == 3 else "catalina")
    survey = build(data["reader"], memory_gib=data["memory_gib"])
    source, out = (Path(word).expanduser() for word in words[-2:])
    measure = {"_target_": "astro_lightning.tasks.scope.catalogue.write_features"}
    n = build(measure, survey=survey, path=source, out=out, cache=cache_folder() / "features")
    print(f"{n} objects measured: {out}")
