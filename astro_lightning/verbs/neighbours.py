"""Find the nearest neighbours of an object."""

from pathlib import Path

from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """Find the objects most like one: astro-lightning neighbours EMBEDDINGS.parquet ID [HOW_MANY], after mode=embed."""
    if len(words) not in (2, 3) or not (words[2:] or ["1"])[0].isdigit():
        raise BadInput(
            "neighbours takes the file that mode=embed wrote, the id of an object and, if you like, how many"
        )
    from astro_lightning.predict.neighbours import nearest

    found = nearest(Path(words[0]).expanduser(), words[1], int((words[2:] or ["10"])[0]))
    print(f"{'id':<24}{'label':<12}distance")
    for name, label, distance in found:
        print(f"{name!s:<24}{label or '':<12}{distance:.4g}")
