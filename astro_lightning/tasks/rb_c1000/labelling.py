"""The expert of the loop: asked with the three cutouts of each object, real or bogus."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.methods.labelling.question import Card, Question, ask, png
from astro_lightning.tasks.rb_c1000.batches import pixels
from astro_lightning.tasks.rb_c1000.preprocess import preprocess

QUESTION = Question("Real or bogus?", {"real": "r", "bogus": "b", "unsure": "u"})
PICTURES = ("science", "reference", "difference")


def ask_expert(records: Records, rows: np.ndarray, p_real: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels that a person gave to objects, or a page that asks for them and an end of the run.

    Args:
        records: With fixed `stamp`.
        rows: Objects to label.
        p_real: What the model thinks of them, shape (n,).
        folder: The run folder; the page goes to `to_label/index.html`, labels come from `to_label/labels.csv`.

    Returns:
        Which of `rows` the person was sure of, as positions, and whether each of these is real.

    Raises:
        LabelsWanted: There are no labels yet, or not all.
        BadInput: The records have no stamps, or the labels file is not to be used.
    """
    if "stamp" not in records.fixed:
        raise BadInput("oracle=person shows cutouts, and these records have none: choose task.loop.oracle=dataset")
    candidates = pa.table({"id": pa.array(records.ids[rows].tolist()), "p_real": pa.array(p_real)})

    def cards() -> Iterator[Card]:
        for p, stamp in zip(p_real, preprocess(pixels(records, rows), "robust"), strict=True):
            yield Card(f"model says {p:.3f}", {name: png(image) for name, image in zip(PICTURES, stamp, strict=True)})

    given = ask(QUESTION, candidates, cards, folder / "to_label")
    # What was asked first stands, so that another order of the rows, or other rows, do no harm.
    labels = [given.get(identifier, "unsure") for identifier in records.ids[rows].tolist()]
    sure = np.flatnonzero([label != "unsure" for label in labels])
    if not len(sure):
        raise BadInput(f"{folder / 'to_label' / 'labels.csv'}: not one object is labelled real or bogus")
    return sure, np.array(labels)[sure] == "real"
