"""Score a partitioned catalogue with several runs."""

from pathlib import Path
from typing import Any

from astro_lightning.data.errors import BadInput

OPTIONS = ("rule", "correct")


def main(words: list[str]) -> None:
    """Score a folder of fields by several runs: astro-lightning catalogue FOLDER OUT dnn=RUN xgb=RUN [rule=mean] [correct=true]."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    places = [Path(word).expanduser() for word in words if "=" not in word]
    runs = {name: Path(value).expanduser() for name, value in given.items() if name not in OPTIONS}
    if len(places) != 2 or not runs:
        raise BadInput("catalogue takes a folder of fields, the folder to write, and NAME=RUN for each algorithm")
    correct = given.get("correct", "false")
    if correct not in ("true", "false"):
        raise BadInput(f"correct={correct}: give true or false")
    from astro_lightning.core.build import build
    from astro_lightning.core.checkpoint import scoring_folder
    from astro_lightning.predict.score import Scorer

    scorers = {name: Scorer(scoring_folder(path)) for name, path in runs.items()}
    first = next(iter(scorers.values()))
    tags = [tag for tag in first.info["tags"] if all(tag in scorer.info["tags"] for scorer in scorers.values())]
    if not tags:
        raise BadInput("these runs have no tag in common: score each by itself")
    write = {
        "_target_": "astro_lightning.tasks.scope.fields.write_fields",
        "rule": given.get("rule", "mean"),
        "correct": correct == "true",
        "info": {"data": first.info["data"], "taxonomy": first.info["taxonomy"], "tags": tags},
        "scorers": " ".join(f"{name}={scorer.path.resolve()}" for name, scorer in scorers.items()),
    }

    def score(records: Any) -> dict[str, Any]:
        return {name: scorer.predict(records) for name, scorer in scorers.items()}

    fields, rows = build(write, source=places[0], out=places[1], score=score)
    print(f"{fields} fields, {rows} objects: {places[1]}")
