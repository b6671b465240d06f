"""The modes that work on a finished checkpoint: validate, test, predict, embed, calibrate, export."""

import copy
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from astro_lightning.core.calibration import EMBEDDING, Pairs
from astro_lightning.core.checkpoint import REFIT, scoring_folder
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.provenance import asked, provenance, read_kept, write_json
from astro_lightning.core.stages import datamodule_of
from astro_lightning.data.errors import BadInput
from astro_lightning.data.fingerprint import fingerprint, object_hashes
from astro_lightning.data.records import Records
from astro_lightning.data.tables import mean_of_objects, write_parquet
from astro_lightning.predict.calibrate import fold_datamodules
from astro_lightning.predict.export import export_network
from astro_lightning.predict.files import predict_file, read_input
from astro_lightning.predict.recalibrate import recalibrate, write_run
from astro_lightning.predict.score import Scorer
from astro_lightning.report.card import write_card
from astro_lightning.report.html import write_report
from astro_lightning.report.table import print_metrics

log = logging.getLogger(__name__)

CHUNK = 4096  # objects
N_MAPPED = 2000  # test objects on the map
SHOWN = 8  # metrics in the terminal, of a task without the usual ones


def as_trained(cfg: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration with the task, seed and, unless the command line chose others, the data of the checkpoint's run.

    Args:
        cfg: The composed configuration.
        overrides: What the user typed: `data=` and `experiment=` choose other data, `data.<key>=` changes the run's own.
    """
    if not cfg["ckpt"]:
        raise BadInput(f"mode={cfg['mode']} needs ckpt=CHECKPOINT_OR_RUN_FOLDER")
    path = Path(str(cfg["ckpt"])).expanduser().resolve()
    run_folder = path if path.is_dir() else path.parents[min(2, len(path.parents) - 1)]
    if run_folder.name == REFIT:
        run_folder = run_folder.parent
    kept = run_folder / "config.yaml"
    # A file that lies elsewhere may have another program's config.yaml above it.
    inside = path.is_dir() or path.parent.parent.name == "checkpoints"
    keys = [word.lstrip("+~").partition("=")[0].split(".") for word in overrides]
    other = ["data"] in keys or ["experiment"] in keys
    if not inside or not kept.is_file():
        if not other and not cfg["data"].get("path"):
            raise BadInput(
                f"{path} lies in no run folder, so that its survey is not known: give data=NAME, or data.path"
            )
        return cfg
    run = read_kept(kept)
    if any(word.startswith("task=") for word in overrides) and cfg["task"]["name"] != run["task"]["name"]:
        raise BadInput(
            f"task={cfg['task']['name']}: {path} is of task {run['task']['name']}; leave task= out, or give another ckpt"
        )
    same = {key: run[key] for key in ("task", "model", "optimizer", "seed")}
    idle = [".".join(key) for key in keys if key[0] in same and key != ["task"]]
    if idle:
        log.warning("%s: without effect, a trained run keeps its own", ", ".join(idle))
    if other:
        return cfg | same
    data = copy.deepcopy(run["data"]) | {"path": None}
    for key in (key for key in keys if key[0] == "data"):
        _take(data, cfg["data"], key[1:])
    return cfg | same | {"data": data}


def _take(block: dict[str, Any], source: dict[str, Any], keys: Sequence[str]) -> None:
    """Put what `source` has under these keys, one inside the other, into `block`; nothing where it has nothing."""
    if keys[0] not in source:
        return
    if len(keys) == 1:
        block[keys[0]] = source[keys[0]]
        return
    block[keys[0]] = block.get(keys[0]) or {}
    _take(block[keys[0]], source[keys[0]], keys[1:])


def validate(cfg: dict[str, Any], folder: Path) -> dict[str, float]:
    """Metrics of a checkpoint on the validation split of the chosen data."""
    return _scored_split(cfg, folder, "val")


def test(cfg: dict[str, Any], folder: Path) -> dict[str, float]:
    """Metrics of a checkpoint on the test split of the chosen data."""
    return _scored_split(cfg, folder, "test")


def predict(cfg: dict[str, Any], folder: Path) -> dict[str, float]:
    """Score `data.path` into `out`."""
    scorer = make_scorer(cfg)
    out = Path(str(cfg["out"] or folder / "predictions.parquet")).expanduser()
    n = predict_file(scorer, cfg["data"], out, cfg["workers"])
    print(f"{n} objects scored: {out}")
    return {}


def embed(cfg: dict[str, Any], folder: Path) -> dict[str, float]:
    """Write one vector per object of `data.path`, or of all objects of the chosen data, into `out`, with its label if known."""
    scorer = make_scorer(cfg)
    out = Path(str(cfg["out"] or folder / "embeddings.parquet")).expanduser()
    if len(scorer.members) > 1:
        log.warning("%s holds %d networks: the embedding is that of the first", scorer.path, len(scorer.members))

    def embedded() -> Iterator[pa.Table]:
        if cfg["data"].get("path"):
            tables = read_input(cfg["data"], scorer)
            yield from (embedded_objects(scorer, Records.from_table(table)) for table in tables if table.num_rows)
        else:
            records = _records_of(cfg, scorer.members[0].identity["stage"])
            for start in range(0, len(records), CHUNK):
                yield embedded_objects(scorer, records, np.arange(start, min(start + CHUNK, len(records))))

    n = write_parquet(embedded(), out)
    print(f"{n} objects embedded: {out}")
    return {}


def embedded_objects(scorer: Scorer, records: Records, rows: np.ndarray | None = None) -> pa.Table:
    """`id`, `label` (null where not known) and `embedding` of some rows of the records."""
    table = scorer.embed(records, rows)
    labels = records.flat["label"] if "label" in records.flat.column_names else pa.nulls(len(records), pa.string())
    chosen = labels if rows is None else labels.take(pa.array(rows))
    return table.add_column(1, "label", chosen.cast(pa.string()))


def calibrate(cfg: dict[str, Any], folder: Path) -> dict[str, float]:
    """Calibrate a run anew on the labelled objects of `data.path`, into a run folder of its own.

    Where the run has folds, the objects are tested too: those that calibrate one fold by all other folds, which do not know them.
    """
    if cfg["out"]:
        raise BadInput("mode=calibrate writes a run folder: leave out= out and give hydra.run.dir=FOLDER")
    scorer = make_scorer(cfg)
    scorer.calibration, records, parts = recalibrate(scorer, read_input(cfg["data"], scorer), cfg["seed"])
    rows = np.sort(np.concatenate(parts))
    splits = {"calibration": int(np.isin(records.labels[rows].astype(str), scorer.classes).sum())}
    metrics: dict[str, float] = {}
    if len(parts) > 1:
        others = [[(g, g) for g in range(len(parts)) if g != f] for f in range(len(parts))]
        tables = [_held_out(scorer, records, *one) for one in zip(parts, others, strict=True)]
        table = type(scorer.members[0].module).with_truth(scorer.finish(mean_of_objects(tables)), scorer.info)
        write_parquet([table], folder / "predictions.parquet")
        metrics, splits["test"] = _metrics(scorer, table, "test"), len(rows)
        write_json(folder / "metrics.json", metrics)
    job, data = asked() | {"finished": True}, fingerprint(records, {"calibration": rows}) | {"splits": splits}
    write_json(folder / "provenance.json", provenance(cfg["seed"], job["command"]) | {"data": data})
    write_run(scorer, scorer.calibration, cfg, folder)
    write_json(folder / "job.json", job)
    print(f"{scorer.path} calibrated on {splits['calibration']} objects: ckpt={folder}")
    if metrics and cfg["report"]:
        write_report(folder)
        write_card(folder)
    if metrics:
        print_metrics(metrics, folder)
    return metrics


def export(cfg: dict[str, Any], folder: Path) -> dict[str, float]:
    """Write the network as ONNX (`out=*.onnx`) or torch.export (`out=*.pt2`), checked against the network on real input."""
    scorer = make_scorer(cfg)
    out = Path(str(cfg["out"] or folder / "network.onnx")).expanduser()
    if len(scorer.members) > 1:
        log.warning("%s holds %d networks: what is written is the first", scorer.path, len(scorer.members))
    if scorer.calibration is not None:
        log.warning(
            "%s is calibrated, which no exported network is: mode=predict gives other probabilities", scorer.path
        )
    difference = export_network(scorer, _some_input(cfg, scorer), out)
    print(f"exported: {out} (largest difference from the network on real input: {difference:.2g})")
    return {"export/max_difference": difference}


def make_scorer(cfg: dict[str, Any]) -> Scorer:
    """The scorer of `ckpt=` on the trainer's device."""
    device = "mps" if cfg["trainer"]["accelerator"] == "mps" else run_device(cfg)
    return Scorer(
        scoring_folder(Path(str(cfg["ckpt"])).expanduser()), device, cfg["batch_size"], cfg["trainer"]["precision"]
    )


def test_run(
    cfg: dict[str, Any], run_folder: Path, folder: Path, part: str = "test"
) -> tuple[dict[str, float], dict[str, Any]]:
    """Score one part of the split of the predicting stages as a new file is, and write `predictions.parquet`.

    Where stages have splits of their own (folds), those of one split score their own part, and an object that several of them
    held out gets their mean.

    Returns:
        Metrics named `<part>/<metric>`, and the data's fingerprint and splits for the provenance.
    """
    scorer = Scorer(run_folder, run_device(cfg), cfg["batch_size"], cfg["trainer"]["precision"])
    datamodules = fold_datamodules(cfg, scorer)
    rows = [module.splits[part] for module in datamodules]
    shared = all(np.array_equal(rows[0], own) for own in rows)
    # What one fold held out calibrated it, and is compared with the objects of the others.
    tables = [
        _held_out(scorer, module.records, own, None if shared else [(f, g) for g in range(len(rows)) if g != f])
        for f, (module, own) in enumerate(zip(datamodules[: 1 if shared else None], rows, strict=False))
        if len(own)
    ]
    info = _recorded(scorer, datamodules[-1])
    if not tables:
        return {}, info
    if part == "test" and len(rows[0]):
        _map(scorer, datamodules[0].records, rows[0], folder)
    kind = type(scorer.members[0].module)
    table = kind.with_truth(scorer.finish(mean_of_objects(tables)), scorer.info)
    if not set(table.column_names) - {"id", "label", "group", EMBEDDING}:
        return {}, info  # a pretrained network predicts nothing
    write_parquet([table], folder / "predictions.parquet")
    if "label" not in table.column_names and not kind.references:
        return {}, info
    if part == "test":
        kind.show_tested(datamodules[0].records, np.unique(np.concatenate(rows)), folder)
    return _metrics(scorer, table, part), info


def _metrics(scorer: Scorer, table: pa.Table, part: str) -> dict[str, float]:
    metrics = type(scorer.members[0].module).score(table, scorer.info)
    if scorer.calibration is not None:
        metrics |= scorer.calibration.score(table)
    return {f"{part}/{name}": value for name, value in metrics.items()}


def _map(scorer: Scorer, records: Records, rows: np.ndarray, folder: Path) -> None:
    """`examples/embedding.parquet` for the report: vectors of up to 2,000 of these rows, drawn evenly."""
    if len(rows) > N_MAPPED:
        rows = np.sort(np.random.default_rng(0).choice(rows, N_MAPPED, replace=False))
    write_parquet([embedded_objects(scorer, records, rows)], folder / "examples" / "embedding.parquet")


def run_device(cfg: dict[str, Any]) -> str:
    """Where a run's own networks are scored after its training."""
    return "cuda" if torch.cuda.is_available() and cfg["trainer"]["accelerator"] != "cpu" else "cpu"


def _held_out(scorer: Scorer, records: Records, rows: np.ndarray, pairs: Pairs | None) -> pa.Table:
    """Scores of rows with what they are measured against and their group; warns of rows that were trained on."""
    members = None if pairs is None else [member for f in {f for f, _ in pairs} for member in scorer.folds[f]]
    seen = scorer.seen_in_training(object_hashes(records, rows), members)
    if seen:
        log.warning("%d of %d objects to be tested were in the training split of %s", seen, len(rows), scorer.path)
    table = scorer.score(records, rows, pairs)
    if "label" in records.flat.column_names:
        table = table.append_column("label", pa.array(records.labels[rows], pa.string()))
    if "group" in records.flat.column_names:
        table = table.append_column("group", pa.array(records.groups[rows]))
    for name in scorer.members[0].module.references:
        table = table.append_column(name, pa.array(records.column(name)[rows]))
    return table


def _recorded(scorer: Scorer, datamodule: RecordsData) -> dict[str, Any]:
    """What the provenance keeps of the data.

    On the data it was trained on the checkpoint knows best: a stage that took labels from an earlier one trained on more than
    its blocks alone say.
    """
    info = datamodule.info()
    last = scorer.members[-1].info
    known = last if last.get("content_sha256") == info["content_sha256"] else info
    kept = ("content_sha256", "split_sha256", "splits", "classes", "counts")
    return {name: value for name, value in known.items() if name in kept}


def _scored_split(cfg: dict[str, Any], folder: Path, part: str) -> dict[str, float]:
    run_folder = Path(str(cfg["ckpt"])).expanduser()
    metrics, info = test_run(cfg, run_folder, folder, part)
    if not metrics:
        raise BadInput(
            f"nothing to score: the {part} split has no label, or this checkpoint predicts nothing to hold against it"
        )
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "provenance.json", {"data": info, "checkpoint": str(run_folder)})
    usual = [f"{part}/{name}" for name in ("accuracy", "macro_f1", "log_loss")]
    for name in [name for name in usual if name in metrics] or list(metrics)[:SHOWN]:
        print(f"{name} = {metrics[name]:.4f}")
    print(f"metrics and predictions: {folder}")
    return metrics


def _records_of(cfg: dict[str, Any], name: str) -> Records:
    return datamodule_of(cfg, name).records


def _some_input(cfg: dict[str, Any], scorer: Scorer) -> list[dict[str, torch.Tensor]]:
    if cfg["data"].get("path"):
        records = Records.from_table(next(iter(read_input(cfg["data"], scorer))))
    else:
        records = _records_of(cfg, scorer.members[0].identity["stage"])
    # Of several sizes, so that an exported file that holds for one alone is found out.
    sizes = dict.fromkeys(min(n, len(records)) for n in (8, 3, 1))
    return [next(iter(scorer.batches(scorer.members[0], records, np.arange(n)))) for n in sizes]
