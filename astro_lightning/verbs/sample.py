"""Choose stars to label next, with a page for each tag."""

from pathlib import Path

from astro_lightning.core.conf import data_block
from astro_lightning.data.errors import BadInput

NUMBERS = {"count": 1000, "least": 0.9, "seed": 0}
OPTIONS = ("tags", "count", "least", "known", "data", "seed")


def main(words: list[str]) -> None:
    """Choose stars to label next: astro-lightning sample SCORES CURVES OUT [tags=e,ea] [count=1000] [least=0.9] [known=TABLE]."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    places = [Path(word).expanduser() for word in words if "=" not in word]
    if len(places) != 3 or set(given) - set(OPTIONS):
        raise BadInput(
            "sample takes the scores (Parquet), the light curves, the folder to write, and any of "
            + ", ".join(f"{name}=" for name in OPTIONS)
        )
    try:
        numbers = {name: type(value)(given.get(name, value)) for name, value in NUMBERS.items()}
    except ValueError as error:
        raise BadInput(f"count= and seed= are whole numbers, least= is a number: {error}") from error
    from astro_lightning.core.build import build, reader_of

    data = data_block(given.get("data", "catalina"))
    survey = reader_of(data["reader"], data["memory_gib"])
    block = {
        "_target_": "astro_lightning.tasks.scope.votes.write_sample",
        "tags": given["tags"].split(",") if "tags" in given else None,
        **numbers,
        "known": given.get("known"),
    }
    for line in build(block, scores=places[0], survey=survey, curves=places[1], out=places[2]):
        print(line)
