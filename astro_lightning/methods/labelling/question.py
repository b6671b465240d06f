"""What a person is asked, and the answers: a folder with a page, the candidates and, in the end, `labels.csv`."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from matplotlib.figure import Figure

from astro_lightning.core.provenance import read_kept, write_json, write_text
from astro_lightning.data.errors import BadInput
from astro_lightning.data.tables import read_table, write_parquet
from astro_lightning.methods.labelling.page import page

QUESTION, CANDIDATES, LABELS, PAGE = "question.json", "candidates.parquet", "labels.csv", "index.html"


class LabelsWanted(BadInput):
    """The run stops until a person has labelled; it goes on with `resume=`."""


@dataclass(frozen=True)
class Question:
    """The title of the page and the labels to choose from.

    Attributes:
        title: Of the page.
        choices: Label -> the key that gives it, one character.
    """

    title: str
    choices: Mapping[str, str]


@dataclass(frozen=True)
class Card:
    """One object.

    Attributes:
        note: What to say of it beside its identifier.
        pictures: Name -> PNG file, see `png`.
    """

    note: str
    pictures: Mapping[str, bytes]


def ask(question: Question, candidates: pa.Table, cards: Callable[[], Iterable[Card]], folder: Path) -> dict[Any, str]:
    """Read the labels of a folder's candidates, or write the page that asks for them and stop.

    What was asked first stands: a resumed run that would choose other candidates gets the labels of the first.

    Args:
        question: Title and choices.
        candidates: Table with `id`; other columns are kept beside the page.
        cards: Draws the candidates, in order; called only when the page is written.
        folder: `to_label` below the run folder.

    Returns:
        Identifier -> label, in the candidates' order.

    Raises:
        LabelsWanted: There are no labels yet, or not all.
        BadInput: The labels file has other columns, labels or objects.
    """
    if not (folder / PAGE).exists():
        write_question(question, candidates, cards(), folder)
    labels = read_labels(folder)
    ids = list(dict.fromkeys(read_table(folder / CANDIDATES)["id"].to_pylist()))
    if len(labels) < len(ids):
        raise LabelsWanted(
            f"{len(ids) - len(labels)} of {len(ids)} objects wait for your label: astro-lightning label {folder.parent}, or "
            f"open {folder / PAGE} in a browser and save labels.csv into {folder}; then resume={folder.parent}"
        )
    return {identifier: labels[str(identifier)] for identifier in ids}


def write_question(question: Question, candidates: pa.Table, cards: Iterable[Card], folder: Path) -> Path:
    """Write the page and what belongs to it; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet([candidates], folder / CANDIDATES)
    write_json(folder / QUESTION, asdict(question))
    ids = [str(identifier) for identifier in candidates["id"].to_pylist()]
    write_text(folder / PAGE, page(question.title, question.choices, ids, cards))
    return folder / PAGE


def read_labels(folder: Path) -> dict[str, str]:
    """Identifier (as text) -> label of what has been labelled so far.

    Raises:
        BadInput: `folder` asks nothing, or its labels file has other columns, labels or objects.
    """
    path = folder / LABELS
    if not path.exists():
        return {}
    try:
        return parse_labels(path.read_text("utf-8-sig"), folder, str(path))
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8") from error


def csv_text(labels: Mapping[str, str]) -> str:
    """Labels as the text of a labels file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("id", "label"), *labels.items()])
    return text.getvalue()


def parse_labels(text: str, folder: Path, name: str = LABELS) -> dict[str, str]:
    """Identifier -> label of the text of a labels file, checked against what the folder asks.

    Raises:
        BadInput: See `read_labels`.
    """
    if not (folder / QUESTION).exists():
        raise BadInput(f"{folder} asks nothing: it holds no {QUESTION}")
    choices = read_kept(folder / QUESTION)["choices"]
    known = {str(identifier) for identifier in read_table(folder / CANDIDATES)["id"].to_pylist()}
    options = pa.csv.ConvertOptions(column_types={"id": pa.string(), "label": pa.string()}, strings_can_be_null=False)
    try:
        table = pa.csv.read_csv(io.BytesIO(text.encode()), convert_options=options)
    except pa.ArrowInvalid as error:
        raise BadInput(f"{name} is not a CSV file with the columns id and label: {error}") from error
    if not {"id", "label"} <= set(table.column_names):
        raise BadInput(f"{name} must have the columns id and label; it has {', '.join(table.column_names)}")
    labels: dict[str, str] = {}
    for identifier, label in zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True):
        if labels.setdefault(identifier, label) != label:
            raise BadInput(f"{name}: {identifier} is called {labels[identifier]} and {label}: keep one row of it")
        if label not in choices:
            raise BadInput(f"{name}: label {label!r} of {identifier} is none of {', '.join(choices)}")
        if identifier not in known:
            raise BadInput(f"{name}: nobody asked about {identifier}: keep to the identifiers of {CANDIDATES}")
    return labels


def png(picture: Figure | np.ndarray) -> bytes:
    """PNG file of a figure, or of an image (height, width) in grey from its 1st to its 99.7th percentile, row 0 below."""
    stream = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(stream, format="png", dpi=100)
    else:
        from matplotlib.image import imsave

        low, high = np.percentile(picture, [1, 99.7])
        imsave(stream, np.clip(picture, low, max(high, low + 1e-6)), cmap="gray", format="png", origin="lower")
    return stream.getvalue()
