"""Files in, Parquet out, in bounded memory; the output is there whole or not at all."""

import glob
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from astro_lightning.core.build import reader_of
from astro_lightning.core.datamodule import files_of
from astro_lightning.data.alone import alone
from astro_lightning.data.errors import BadInput
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.tables import check_out, write_parquet
from astro_lightning.predict.parts import WorkerDied, finished, score_parts, warn_of_objects
from astro_lightning.predict.score import Scorer


def read_input(data: dict[str, Any], scorer: Scorer) -> Iterator[pa.Table]:
    """Records of `data.path`, read as the training data were unless another survey was chosen."""
    return _reader(data, scorer).read(input_path(data), part="all")


def _reader(data: dict[str, Any], scorer: Scorer) -> Survey[Any]:
    reader = reader_of(reader_block(data, scorer), data["memory_gib"])
    reader.scoring = True
    return reader


def input_path(data: dict[str, Any]) -> Path:
    """What is to be scored.

    Raises:
        BadInput: `data.path` is missing, or not there.
    """
    if not data.get("path"):
        raise BadInput("data.path=FILE_OR_FOLDER is missing: say what to score")
    path = Path(str(data["path"])).expanduser()
    if not path.exists():
        raise BadInput(f"data.path={path} does not exist")
    return path


def reader_block(data: dict[str, Any], scorer: Scorer) -> dict[str, Any]:
    """`_target_` block of the survey's reader: the chosen one, or that of the training data."""
    return (scorer.info["data"] if data["name"] == "simulated" else data)["reader"]


def predict_file(scorer: Scorer, data: dict[str, Any], out: Path, workers: int = 1) -> int:
    """Score `data.path` into one Parquet file, streamed; a killed call, given again, goes on where it was.

    Until the file is whole its parts stand beside it, in a folder whose name follows from input (what lies beside an input file
    included: it may belong to it), reader and checkpoint:
    if one of them changes, all begins anew. See `parts.finished` for columns that need all objects together.

    Returns:
        Number of objects scored. Objects that were in the training split are scored too, with a warning.

    Raises:
        BadInput: The input cannot be used or is `out`, another process writes this file, or a scoring process died.
    """
    check_out(out)
    path = input_path(data)
    reader = _reader(data, scorer)
    # An earlier output may lie among the survey's files; whatever form a source has, it names the files it is read from.
    same = [file for file in visible(path, "**/*") if out.exists() and out.samefile(file)]
    if same and str(same[0]) in repr(reader.sources(path)):
        raise BadInput(f"out={out} is a file that is to be scored: give another name")
    tables = reader.read(path, part="all")
    with parts_folder(out, scorer, [str(reader_block(data, scorer)), data["memory_gib"]], path) as folder:
        parts = score_parts(scorer, tables, folder, workers)
        if not parts:
            raise BadInput(f"{path} holds no object: nothing to score")
        n = write_parquet(finished(scorer, parts, data["memory_gib"]), out)
        warn_of_objects(parts, n)
    return n


@contextmanager
def parts_folder(out: Path, scorer: Scorer, reading: Sequence[Any], path: Path) -> Iterator[Path]:
    """The folder of parts of an output: removed when all is done or the input is bad, kept when the process is killed.

    Raises:
        BadInput: Another process is at work on this output.
    """
    beside = visible(path if path.is_dir() else path.parent, "**/*" if path.is_dir() else "*")
    read = [files_of(file) for file in beside if not (out.exists() and out.samefile(file))]
    files = [str(path), *read, *(files_of(file) for file in scorer.files)]
    key = json.dumps([files, [str(word) for word in scorer.arguments], *reading], default=str)
    folder = out.with_name(f".{out.name}.parts-{hashlib.sha256(key.encode()).hexdigest()[:16]}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with alone(out.with_name(f".{out.name}.lock"), out):
        for stale in out.parent.glob(f".{glob.escape(out.name)}.parts-*"):
            if stale != folder:
                shutil.rmtree(stale)
        try:
            yield folder
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command goes on") from None
        except WorkerDied:
            raise
        except BadInput:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
