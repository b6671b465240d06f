"""Files in, Parquet out, in bounded memory; the output is there whole or not at all."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from astro_lightning.core.build import build
from astro_lightning.data.errors import BadInput
from astro_lightning.data.fingerprint import object_hashes
from astro_lightning.data.records import Records
from astro_lightning.data.tables import write_parquet
from astro_lightning.predict.score import Scorer

log = logging.getLogger(__name__)


def read_input(data: dict[str, Any], scorer: Scorer) -> Iterator[pa.Table]:
    """Records of `data.path`, read as the training data were unless another survey was chosen."""
    if not data.get("path"):
        raise BadInput("data.path=FILE_OR_FOLDER is missing: say what to score")
    path = Path(str(data["path"])).expanduser()
    if not path.exists():
        raise BadInput(f"data.path={path} does not exist")
    survey = scorer.info["data"] if data["name"] == "simulated" else data
    return build(survey["reader"], memory_gib=data["memory_gib"]).read(path, part="all")


def predict_file(scorer: Scorer, tables: Iterable[pa.Table], out: Path) -> int:
    """Score tables of records into one Parquet file.

    Returns:
        Number of objects scored. Objects that were in the training split are scored too, with a warning.
    """
    seen = 0

    def scored() -> Iterator[pa.Table]:
        nonlocal seen
        for table in tables:
            records = Records.from_table(table)
            seen += scorer.seen_in_training(object_hashes(records))
            yield scorer.predict(records)

    n = write_parquet(scored, out)
    if seen:
        log.warning(
            "%d of %d objects were in the training split of this checkpoint: their scores say nothing of its quality",
            seen,
            n,
        )
    return n
