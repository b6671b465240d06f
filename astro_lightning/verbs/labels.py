"""One run a label, several at once."""

from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """One run a label, several at once: astro-lightning labels OUT_FOLDER [jobs=2] [labels=e,ea] task=scope_xgb data=catalina."""
    if not words or "=" in words[0]:
        raise BadInput(
            "labels takes the folder to write, then jobs=, labels= and what a run is given (task=, data=, ...)"
        )
    from astro_lightning.compose import composed
    from astro_lightning.core.build import build

    given = dict(word.split("=", 1) for word in words[1:] if word.startswith(("jobs=", "labels=")))
    rest = [word for word in words[1:] if not word.startswith(("jobs=", "labels="))]
    block = {"_target_": "astro_lightning.tasks.scope.label_runs.run_labels"}
    if not given.get("jobs", "2").isdecimal():
        raise BadInput(f"jobs={given['jobs']}: give how many runs go on at a time")
    labels = given["labels"].split(",") if "labels" in given else None
    jobs = int(given.get("jobs", 2))
    print(build(block, folder=words[0], words=rest, composed=composed, jobs=jobs, labels=labels))
