"""Stars of surveys that a finished Catalina run never saw: Stripe 82 and EROS-2, each band by itself.

    ASTRO_LIGHTNING_DATA=FOLDER python -m benchmarks.scope_elsewhere RUN_FOLDER

RUN_FOLDER is of experiment=scope_catalina; the scores are kept beside it.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import f1_score

from astro_lightning.data.survey import Survey
from astro_lightning.data.surveys.eros2 import Eros2
from astro_lightning.data.surveys.stripe82 import Stripe82
from astro_lightning.methods.conformal.evaluate import proportion
from astro_lightning.tasks.scope.module import period_found
from benchmarks.table import Cell, write_table

SURVEYS: dict[str, tuple[str, type[Survey], tuple[str, ...]]] = {
    "stripe82": ("scope/stripe82_rrlyr", Stripe82, ("g", "r")),
    "eros2": ("scope/eros2_ramp", Eros2, ("B", "R")),
}
TAGS = {"RRab": "rrab", "RRc": "rrc", "EB": "e", "Cepheid": "ceph", "RR_Lyrae": "rrlyr", "Mira": "lpv"}


def main(run: Path) -> None:
    """Score what is not yet scored and write the table."""
    rows: list[list[Cell]] = []
    for name, (folder, survey, bands) in SURVEYS.items():
        path = Path(os.environ["ASTRO_LIGHTNING_DATA"]) / folder
        for band in bands:
            out = run.with_name(f"{run.name}_{name}_{band}.parquet")
            if not out.exists():
                words = [
                    "mode=predict",
                    f"ckpt={run}",
                    f"data={name}",
                    f"data.path={path}",
                    f"data.reader.bands=[{band}]",
                ]
                start = [sys.executable, "-m", "astro_lightning", "trainer=cpu", *words, f"out={out}"]
                subprocess.run([*start, f"hydra.run.dir={run}_predict"], check=True, stdout=subprocess.DEVNULL)
            known = pa.concat_tables(
                table.select(["id", "label", "period"])
                for table in survey(bands=[band]).read(path)  # type: ignore[call-arg]
            )
            rows += compared(f"{name}, {band}", pq.read_table(out), known)
    write_table(
        "scope_elsewhere",
        "Variable stars of surveys never seen",
        [
            "survey, band: kind",
            "curves",
            "period within 1%",
            "95%, low",
            "95%, high",
            "also half or double",
            "tag",
            "found at 0.5",
            "F1",
        ],
        rows,
        "Trained on Catalina's southern variables alone (V-like magnitudes), scored by mode=predict without retraining. Stripe 82: "
        "RR Lyrae stars only, some 55 epochs a band in place of Catalina's hundreds: F1 says how well ab and c are told apart. "
        "EROS-2: four kinds, some 120 epochs a band.",
        "python -m benchmarks.scope_elsewhere RUN_FOLDER   # of experiment=scope_catalina",
        [0],
    )


def compared(name: str, found: pa.Table, known: pa.Table) -> list[list[Cell]]:
    """A row for each kind of star of a survey."""
    assert found["id"].to_pylist() == known["id"].to_pylist()
    label = np.array(known["label"].to_pylist(), dtype=object)
    exact, harmonic = period_found(found["period"].to_numpy(), known["period"].to_numpy())
    rows: list[list[Cell]] = []
    for kind in (kind for kind in TAGS if (label == kind).any()):
        own, tag = label == kind, found[f"prob_{TAGS[kind]}"].to_numpy() > 0.5
        share = proportion(int(exact[own].sum()), int(own.sum()))
        rows.append([
            f"{name}: {kind}", int(own.sum()), share["value"], share["low"], share["high"], float(harmonic[own].mean()),
            TAGS[kind], float(tag[own].mean()), float(f1_score(own, tag)),
        ])  # fmt: skip
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
