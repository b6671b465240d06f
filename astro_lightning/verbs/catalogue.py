"""Score a partitioned catalogue with several runs."""

from pathlib import Path

from astro_lightning.data.errors import BadInput

OPTIONS = ("rule", "correct")


def main(words: list[str]) -> None:
    """Score a folder of fields by several runs: astro-lightning catalogue FOLDER OUT dnn=RUN xgb=RUN [rule=mean] [correct=true]."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    places = [Path(word).expanduser() for word in words if "=" not in word]
    runs = {name: Path(value).expanduser() for name, value in given.items() if name not in OPTIONS}
    if len(places) != 2 or not runs:
        raise BadInput("catalogue takes a folder of fields, the folder to write, and NAME=RUN for each algorithm")
    from astro_lightning.core.build import build

    write = {"_target_": "astro_lightning.tasks.scope.fields.write_fields", "rule": given.get("rule", "mean")}
    correct = given.get("correct", "false") == "true"
    fields, rows = build(write, source=places[0], out=places[1], runs=runs, correct=correct)
    print(f"{fields} fields, {rows} objects: {places[1]}")
