"""Between scores and new labels: the sample that people vote on, and their votes merged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from astro_lightning.core.provenance import read_kept, write_json
from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import cast
from astro_lightning.data.survey import Survey
from astro_lightning.data.tables import read_table, write_parquet
from astro_lightning.methods.labelling.question import LABELS, QUESTION, read_labels
from astro_lightning.tasks.scope.consolidate import labelling_sample, merge_votes
from astro_lightning.tasks.scope.labelling import write_pages
from astro_lightning.tasks.scope.taxonomy import tags_of_conf

VALUE = {"yes": 1, "no": -1, "unsure": 0}


def write_sample(
    scores: Path, survey: Survey, curves: Path, out: Path, tags: Sequence[str] | None, count: int, least: float,
    seed: int, known: str | None,
) -> list[str]:  # fmt: skip
    """Choose objects of each tag, write them with counts, and a labelling page for each tag.

    Args:
        scores: Table of `id`, `prob_<tag>` and, where it was found, `period`.
        survey: Reader of the light curves.
        curves: File or folder that holds them.
        out: Folder for `sample.parquet`, `sample.csv`, `counts.json` and a folder for each tag.
        tags: In the order in which they choose; None = all columns of tags of `conf/taxonomy`, in the order of the table.
        count: Objects of each tag.
        least: Least probability, where enough objects reach it.
        seed: Of the choice.
        known: Table with `id` of objects that have labels already, the training sources.

    Returns:
        Lines that say what was written.
    """
    if count < 1:
        raise BadInput(f"count={count}: give a number of objects above 0")
    if any(out.glob(f"*/{LABELS}")):
        raise BadInput(f"{out} holds votes on an earlier sample: give another folder")
    table = read_table(scores)
    there = [name.removeprefix("prob_") for name in table.column_names if name.startswith("prob_")]
    chosen = list(tags) if tags else [name for name in there if name in tags_of_conf()]
    absent = [tag for tag in chosen if tag not in there]
    if absent or not chosen:
        missing = f"has no column prob_{absent[0]}" if absent else "has no column of a tag of conf/taxonomy"
        raise BadInput(f"{scores} {missing}: give tags= of {', '.join(there) or 'another table'}")
    labelled = np.empty(0)
    if known:
        found = read_table(Path(known))
        if "id" not in found.column_names:
            raise BadInput(f"known={known} has no column id: it has {', '.join(found.column_names)}")
        labelled = cast(found["id"], table["id"].type, "id", known).to_numpy()
    sample = labelling_sample(table, chosen, labelled, count, least, seed)
    if not sample.num_rows:
        raise BadInput(f"{scores}: every object has a label already")
    out.mkdir(parents=True, exist_ok=True)
    write_parquet([sample], out / "sample.parquet")
    csv.write_csv(sample, out / "sample.csv")
    counted = pc.value_counts(sample["tag"].combine_chunks())
    counts = {entry["values"].as_py(): entry["counts"].as_py() for entry in counted}
    write_json(out / "counts.json", counts)
    periods = table["period"].to_pylist() if "period" in table.column_names else [np.nan] * table.num_rows
    pages = write_pages(sample, dict(zip(table["id"].to_pylist(), periods)), survey, curves, out)
    return [f"{counts[page.parent.name]} objects: astro-lightning label {page.parent}" for page in pages]


def write_votes(folders: Sequence[Path], out: Path) -> tuple[int, int]:
    """Labels with more votes for than against, over the samples of one or more people.

    Args:
        folders: As `write_sample` made them, or a tag's folder among them.
        out: Parquet file: `id`, `tag`, `net`.

    Returns:
        Number of labels and of objects that were voted on.
    """
    ids: list[int | str] = []
    tags, votes = [], []
    questions: dict[Path, None] = {}  # each once, were a sample and one of its tags both named
    for folder in folders:
        asked = (
            [folder] if (folder / QUESTION).exists() else sorted(path.parent for path in folder.glob(f"*/{QUESTION}"))
        )
        if not asked:
            raise BadInput(f"{folder} holds no question of astro-lightning sample")
        questions |= dict.fromkeys(path.resolve() for path in asked)
    for question in questions:
        choices = read_kept(question / QUESTION)["choices"]
        if set(choices) != set(VALUE):
            raise BadInput(f"{question} asks for {', '.join(choices)}, not for {', '.join(VALUE)}")
        identifiers = {str(i): i for i in read_table(question / "candidates.parquet")["id"].to_pylist()}
        if ids and identifiers and type(next(iter(identifiers.values()))) is not type(ids[0]):
            raise BadInput(
                f"{question} is of another catalogue than the samples before it: its identifiers are of another type"
            )
        for identifier, label in read_labels(question).items():
            ids.append(identifiers[identifier])
            tags.append(question.name)
            votes.append(VALUE[label])
    if not ids:
        raise BadInput("nobody has voted yet: astro-lightning label FOLDER/TAG")
    merged = merge_votes(pa.table({"id": ids, "tag": tags, "vote": votes}))
    write_parquet([merged], out)
    return merged.num_rows, len(set(ids))
