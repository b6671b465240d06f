"""Merge what people voted into labels."""

from pathlib import Path

from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """Merge what people voted into labels: astro-lightning votes OUT.parquet SAMPLE_FOLDER [SAMPLE_FOLDER ...]."""
    if len(words) < 2:
        raise BadInput("votes takes the Parquet file to write and one or more folders that astro-lightning sample made")
    from astro_lightning.core.build import build

    merge = {"_target_": "astro_lightning.tasks.scope.votes.write_votes"}
    out, *folders = (Path(word).expanduser() for word in words)
    n, objects = build(merge, folders=folders, out=out)
    print(f"{n} labels of {objects} objects: {out}")
