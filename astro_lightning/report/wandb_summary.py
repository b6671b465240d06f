"""What a finished run leaves on its Weights & Biases page."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from astro_lightning.report.predictions import Predictions
from astro_lightning.report.run_folder import read_run


def log_summary(folder: Path, metrics: Mapping[str, float]) -> None:
    """Final metrics, curves, pictures, configuration and model card into the open W&B run; nothing where none is open.

    Metrics keep the names of `metrics.json`: `test/<metric>` lines up between tasks. So do `val/<metric>` and
    `best/val/<metric>`, copied from the predicting stage where there is one only. Pictures are `plots/<name>`.

    Args:
        folder: The run folder.
        metrics: `test/<metric>` or `<stage>/<metric>` -> value.
    """
    import wandb

    if wandb.run is None:
        return
    run = read_run(folder)
    # The loggers of the stages have written each stage's own settings over the run's.
    wandb.run.config.update(run.config, allow_val_change=True)
    kept: dict[str, Any] = {
        f"plots/{path.stem}": wandb.Image(str(path), caption=_caption(path))
        for path in sorted((folder / "plots").glob("*.png"))
    }
    if run.predictions and run.scores:
        kept |= _charts(run.predictions.scored())
    card = folder / "model_card.md"
    if card.exists():
        kept["model_card"] = wandb.Html(
            f'<pre style="white-space:pre-wrap">{escape(card.read_text(encoding="utf-8"))}</pre>'
        )
    if kept:
        wandb.run.log(kept)
    wandb.run.summary.update({**_of_predicting_stage(folder, metrics), **metrics})


def _charts(predictions: Predictions) -> dict[str, Any]:
    import wandb

    # The drawing functions take column i for the i-th class that occurs: give them those columns only.
    present, truth = np.unique(predictions.truth, return_inverse=True)
    names = [predictions.classes[i] for i in present]
    probabilities = predictions.probabilities[:, present]
    charts: dict[str, Any] = {
        "test/confusion_matrix": wandb.plot.confusion_matrix(
            y_true=predictions.truth.tolist(),
            preds=predictions.predicted.tolist(),
            class_names=list(predictions.classes),
            title="Confusion matrix",
        )
    }
    if len(present) > 1:
        charts |= {
            "test/roc": wandb.plot.roc_curve(truth, probabilities, names, title="ROC curves"),  # type: ignore[arg-type]
            "test/precision_recall": wandb.plot.pr_curve(truth, probabilities, names, title="Precision and recall"),
        }
    return charts


def _of_predicting_stage(folder: Path, metrics: Mapping[str, float]) -> dict[str, float]:
    index = folder / "checkpoints" / "predicting.json"
    stages = [Path(name).parent.name for name in json.loads(index.read_text())] if index.exists() else []
    if len(stages) != 1:
        return {}
    named = {name.removeprefix(f"{stages[0]}/"): value for name, value in metrics.items()}
    return {name: value for name, value in named.items() if name.startswith(("val/", "best/val/"))}


def _caption(picture: Path) -> str | None:
    text = picture.with_suffix(".txt")
    return text.read_text(encoding="utf-8") if text.exists() else None
