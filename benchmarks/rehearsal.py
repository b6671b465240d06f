"""What a user meets: a fifth of each real set put aside, the experiment run on the rest, the fifth scored by `mode=predict`.

    ASTRO_LIGHTNING_DATA=FOLDER python -m benchmarks.rehearsal RUNS [EXPERIMENT ...]

RUNS keeps the divided files and the run folders: what is done there is not repeated. The files to score have no labels; beside
them lie the same files with labels, read only afterwards. Rows of experiments that are not named stay as they are.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astro_lightning.core.checkpoint import scoring_folder
from astro_lightning.predict.files import read_input
from astro_lightning.predict.score import Scorer
from benchmarks.table import RESULTS, Cell, write_table

SEED, SHARE = 77, 0.2
METRICS = ("accuracy", "macro_f1", "roc_auc", "tag_macro_f1")


@dataclass(frozen=True)
class Set:
    """Files of one folder that are divided together.

    Attributes:
        folder: Below the folder of all data.
        files: Parquet files, each with its column of object identifiers; None = a row is an object.
        labels: Patterns of the columns that a file to score has not.
        unit: From identifiers to what is put aside whole; None = the object.
        beside: Files and folders that stay whole with what is trained on.
    """

    folder: str
    files: dict[str, str | None]
    labels: tuple[str, ...]
    unit: Callable[[np.ndarray], np.ndarray] | None = None
    beside: tuple[str, ...] = ()


def field(oid: np.ndarray) -> np.ndarray:
    """Survey field of ZTF identifiers."""
    return oid.astype(np.int64) // 10**12


SPCC = Set(
    "plasticc/spcc",
    {"metadata.parquet": "object_id", "lightcurves.parquet": "object_id"},
    ("sim_*", "sntype", "z_final*", "z_spec"),
)
FRAMES = Set(
    "rb_vae_rnn", {"embeddings.parquet": "oid", "lightcurve_features.parquet": "oid"}, ("label", "tags"), field
)
SETS = {
    "mallorn": Set(
        "plasticc/mallorn",
        {"train_log.parquet": "oid", "train_lightcurves.parquet": "oid"},
        ("SpecType", "English Translation", "target"),
        beside=("unlabelled_log.parquet", "unlabelled_lightcurves.parquet"),
    ),
    "spcc": SPCC,
    "spcc_biased": SPCC,
    "uea_lsst": Set("plasticc/uea_lsst", {"lsst_train.parquet": None}, ("target",)),
    "plasticc_features": Set(
        "plasticc/feature_table",
        {"training_set_metadata.parquet": "object_id", "features.parquet": "object_id"},
        ("target", "hostgal_specz"),
    ),
    "spectra_real": Set(
        "spectra", {"real_spectra.parquet": "group_id"}, ("label", "subclass", "z"), beside=("templates",)
    ),
    "rb_des": Set("realbogus", {"des_autoscan_features.parquet": "ID"}, ("label_artifact", "split")),
    "rb_embeddings": FRAMES,
    "rb_embeddings_lightcurves": FRAMES,
    "scope_catalina": Set(
        "scope",
        {"css_periodic_variables.parquet": "id"},
        ("type", "type_name", "period", "prior_id", "v_amp", "v_css"),
    ),
}


def main(words: list[str]) -> None:
    """Divide, run and score what is not yet done, and write the table."""
    runs, data = Path(words[0]).resolve(), Path(os.environ["ASTRO_LIGHTNING_DATA"]).resolve()
    kept = json.loads((RESULTS / "rehearsal.json").read_text())["rows"] if (RESULTS / "rehearsal.json").exists() else []
    rows: list[list[Cell]] = []
    for name in SETS:
        if name in (words[1:] or SETS):
            divide(SETS[name], data, runs)
            rows += compared(name, runs)
        else:
            rows += [row for row in kept if row[0].startswith(f"{name}: ")]
    write_table(
        "rehearsal",
        "Files that nothing has seen",
        ["experiment: metric", "objects put aside", "by the run itself", "put aside", "95%, low", "95%, high"],
        rows,
        "A fifth of the objects (of frame sequences: of the survey fields; of spectra: of what is one object) put aside once, the "
        "experiment run on the rest, four fifths of what the numbers above had, and the fifth scored from files without labels "
        "(mode=predict). Beside it what the run says of itself by its own test. Intervals: bootstrap over what is put aside, whole "
        "survey fields for frame sequences.",
        "python -m benchmarks.rehearsal RUNS",
        [SEED],
    )


def divide(of: Set, data: Path, runs: Path) -> None:
    """The files trained on, those to score, and the latter with their labels: `known`, `new` and `truth` below `runs`."""
    parts = {part: runs / part / of.folder for part in ("known", "new", "truth")}
    if all((folder / next(iter(of.files))).exists() for folder in parts.values()):
        return
    for folder in parts.values():
        folder.mkdir(parents=True, exist_ok=True)
    aside: np.ndarray | None = None
    for file, key in of.files.items():
        table = pq.read_table(data / of.folder / file)
        units = table[key].to_numpy() if key else np.arange(len(table))
        units = of.unit(units) if of.unit else units
        if aside is None:
            names = np.unique(units)
            aside = np.random.default_rng(SEED).choice(names, round(SHARE * len(names)), replace=False)
        new = pa.array(np.isin(units, aside))
        truth = table.filter(new)
        hidden = [name for name in table.column_names if any(fnmatch(name, label) for label in of.labels)]
        pq.write_table(table.filter(pc.invert(new)), parts["known"] / file)
        pq.write_table(truth, parts["truth"] / file)
        pq.write_table(truth.drop_columns(hidden), parts["new"] / file)
    for name in of.beside:
        (parts["known"] / name).symlink_to(data / of.folder / name)


def compared(name: str, runs: Path) -> list[list[Cell]]:
    """Rows of one experiment."""
    run, scores = runs / name, runs / f"{name}.parquet"
    environment = os.environ | {"ASTRO_LIGHTNING_DATA": str(runs / "known")}
    start = [sys.executable, "-m", "astro_lightning", "trainer=cpu", "callbacks=quiet"]
    job = run / "job.json"
    if not (job.exists() and json.loads(job.read_text()).get("finished")):
        words = [f"experiment={name}", f"hydra.run.dir={run}", "report=false"]
        again = [*start[:3], f"resume={run}"] if (run / "config.yaml").exists() else [*start, *words]
        subprocess.run(again, check=True, env=environment, stdout=subprocess.DEVNULL)
    if not scores.exists():
        new = runs / "new" / SETS[name].folder
        words = [
            "mode=predict",
            f"ckpt={run}",
            f"data.path={new}",
            f"out={scores}",
            f"hydra.run.dir={runs / 'predict'}",
        ]
        subprocess.run([*start, *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    said = json.loads((run / "metrics.json").read_text())
    scorer = Scorer(scoring_folder(run))
    truth = read_input({**scorer.info["data"], "path": runs / "truth" / SETS[name].folder}, scorer)
    labels = pa.concat_tables([table.select(["id", "label"]) for table in truth])
    found = pq.read_table(scores)
    assert found["id"].to_pylist() == labels["id"].to_pylist()
    kind = type(scorer.members[0].module)

    def metrics(rows: np.ndarray) -> dict[str, float]:
        table = found.append_column("label", labels["label"].combine_chunks()).take(rows)
        return kind.score(kind.with_truth(table, scorer.info), scorer.info)

    ids, unit = np.array(labels["id"].to_pylist()), SETS[name].unit
    _, member = np.unique(unit(ids) if unit else ids, return_inverse=True)
    rows_of = np.split(np.argsort(member, kind="stable"), np.cumsum(np.bincount(member))[:-1])
    rng = np.random.default_rng(0)
    drawn = [
        metrics(np.concatenate([rows_of[i] for i in rng.integers(len(rows_of), size=len(rows_of))])) for _ in range(200)
    ]
    whole = metrics(np.arange(len(found)))
    rows: list[list[Cell]] = []
    for metric in METRICS:
        own = said.get(f"test/{metric}")
        if metric in whole and own is not None:
            low, high = np.percentile([one[metric] for one in drawn], [2.5, 97.5])
            rows.append([f"{name}: {metric}", len(found), own, whole[metric], float(low), float(high)])
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
