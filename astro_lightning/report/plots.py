"""All pictures of a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from astro_lightning.report.conformal import conformal_coverage, coverage_by_class, unknown_kinds
from astro_lightning.report.confusion import class_distribution, confusion_matrix
from astro_lightning.report.curves import precision_recall_curves, roc_curves
from astro_lightning.report.early import early_chart, early_table
from astro_lightning.report.embedding import embedding_map
from astro_lightning.report.labels import (
    FEW,
    LABEL_TABLE,
    label_counts,
    label_curves,
    label_scores,
    labels_of,
    write_label_table,
)
from astro_lightning.report.learning import f1_curves, learning_curves, stages_and_folds
from astro_lightning.report.light_curves import light_curve, light_curve_grid, light_curves
from astro_lightning.report.mistakes import confident_mistakes, mistakes_chart
from astro_lightning.report.predictions import Predictions
from astro_lightning.report.reliability import reliability_diagram
from astro_lightning.report.run_folder import RunFolder
from astro_lightning.report.scores import top_label
from astro_lightning.report.style import save_picture, themed_svg


@dataclass(frozen=True)
class Picture:
    """One figure of the report.

    Attributes:
        name: File name without ending, under `plots/`.
        svg: Forms for the page, which follow its light or dark look; several where one PNG holds many panels.
            Empty for a picture that a task added as PNG.
        wide: Whether it needs the width of the page.
        png: The file.
    """

    name: str
    title: str
    caption: str
    png: Path
    svg: tuple[str, ...] = ()
    wide: bool = False


def write_plots(run: RunFolder) -> list[Picture]:
    """Draw what the run folder allows into `plots/<name>.png` with its caption in `<name>.txt`.

    Returns:
        These pictures, then the PNG files that the task itself left in `plots/`.
    """
    drawn = (_of_predictions, _of_labels, _of_early, _of_embedding, _of_examples, _of_learning)
    pictures = [picture for draw in drawn for picture in draw(run)]
    known = {picture.name for picture in pictures}
    for path in sorted((run.path / "plots").glob("*.png")):
        if path.stem not in known:
            text = path.with_suffix(".txt")
            caption = text.read_text(encoding="utf-8").strip() if text.exists() else ""
            pictures.append(Picture(path.stem, path.stem.replace("_", " ").capitalize(), caption, path, wide=True))
    return pictures


def _of_predictions(run: RunFolder) -> list[Picture]:
    if not run.predictions or not run.scores:
        return []
    kept, scores = run.predictions.scored(), run.scores
    classes, n = kept.classes, len(kept.classes)
    pictures = [
        _picture(
            run, "confusion", "Confusion matrix", confusion_matrix(scores.confusion, classes),
            "Each row adds up to 100 %: the share of a true class that was predicted as each class, and how many.",
            wide=n > 6,
        ),
        _picture(
            run, "classes", "Classes", class_distribution(*_counts(scores.confusion), classes),
            "How many test objects carry each label, and how many were given it.",
        ),
        _picture(
            run, "roc", "ROC curves", roc_curves(kept.truth, kept.probabilities, classes),
            "Each class against the rest; the numbers are areas under the curve, 0.5 is a guess.",
        ),
        _picture(
            run, "precision_recall", "Precision and recall",
            precision_recall_curves(kept.truth, kept.probabilities, classes),
            "Each class against the rest; the numbers are average precisions. "
            "A guess has the share of the class as precision.",
        ),
        _picture(
            run, "reliability", "Reliability", reliability_diagram(*top_label(kept)),
            "How often the predicted class was right, for each probability it was given; bars are 95 % intervals. "
            "Below the line the model is too sure of itself.",
        ),
    ]  # fmt: skip
    if kept.p_values is not None:
        pictures += _of_p_values(run, kept)
    if run.predictions.ood_p is not None:
        pictures += _of_unknown(run, run.predictions)
    if mistakes := confident_mistakes(run.predictions, limit=12):
        caption = "The wrongly classified test objects with the most confident predictions, as true → predicted."
        pictures.append(_picture(run, "mistakes", "Confident mistakes", mistakes_chart(mistakes), caption))
    return pictures


def _of_p_values(run: RunFolder, kept: Predictions) -> list[Picture]:
    assert kept.p_values is not None
    alpha = float((run.setting("task", "calibrator") or {}).get("alpha", 0.1))
    caption = "Share of test objects whose true class is in the conformal set, in all and by class, and how large the sets are."
    figure = conformal_coverage(kept.p_values, kept.truth, kept.classes)
    by_class = "Share of each class whose set holds it, with its number of test objects; bars are 95 % intervals."
    return [
        _picture(run, "coverage", "Conformal coverage", figure, caption),
        _picture(
            run, "coverage_by_class", "Coverage by class",
            coverage_by_class(kept.p_values, kept.truth, kept.classes, alpha), by_class,
        ),
    ]  # fmt: skip


def _of_unknown(run: RunFolder, predictions: Predictions) -> list[Picture]:
    assert predictions.ood_p is not None
    known, unknown = predictions.truth >= 0, predictions.truth == -2
    seen = known | unknown
    if not known.any():
        return []
    caption = "The test holds no unknown kinds: a p-value of x or less should meet a share x of the known objects."
    if unknown.any():
        caption = (
            "Objects of classes left out of the training against known ones: how well their p-values tell them apart, "
        )
        caption += "and what Benjamini-Hochberg flags at each rate. Bands and brackets: 95 %."
    figure = unknown_kinds(predictions.ood_p[seen], unknown[seen])
    return [_picture(run, "unknown", "Unknown kinds", figure, caption)]


def _of_early(run: RunFolder) -> list[Picture]:
    cut = run.example("early")
    if cut is None:
        return []
    table = early_table(cut)
    caption = f"Test objects ({int(table['objects'].max()):,}) cut some days after their first detection; "
    caption += "dashed: whole light curves. "
    caption += "Bands: 95 % bootstrap intervals over the objects."
    return [_picture(run, "early", "Accuracy against time", early_chart(table), caption)]


def _of_labels(run: RunFolder) -> list[Picture]:
    path = run.path / "predictions.parquet"
    labels = labels_of(pq.read_schema(path).names) if path.exists() else []
    if not labels:
        return []
    wide = len(labels) > FEW
    table = pq.read_table(path)
    write_label_table(table, run.path / LABEL_TABLE)
    scored = label_scores(table)
    pictures = []
    if any(row["positives"] for row in scored):
        caption = (
            "Confusion of each label at 0.5: what part of its objects was found, and how many others were given it, "
        )
        caption += "in units of them (cut at 1). Above: their number. All numbers are in labels.csv."
        pictures.append(_picture(run, "labels", "Labels", label_counts(table), caption, wide))
    if any(np.isfinite(float(row["roc_auc"])) for row in scored):
        caption = "Blue: precision over recall; grey: true over false positives (ROC); the dot is the threshold 0.5."
        pictures.append(_picture(run, "label_curves", "Label by label", label_curves(table), caption, wide))
    return pictures


def _of_embedding(run: RunFolder) -> list[Picture]:
    table = run.example("embedding")
    if table is None or len(table) < 2 or table.schema.field("embedding").type.list_size < 2:
        return []
    vectors = table["embedding"].combine_chunks()
    values = vectors.flatten().to_numpy().reshape(len(table), -1)
    figure, share = embedding_map(values, np.array(table["label"].to_pylist(), dtype=object))
    caption = f"{len(table):,} test objects as the model sees them, in the two directions in which its vectors scatter "
    caption += f"most (principal components, {share.sum():.0%} of the variance)."
    if table["label"].null_count < len(table):
        caption += " Classes that overlap here may be apart in the other directions."
    return [_picture(run, "embedding", "Map of the test objects", figure, caption)]


def _of_examples(run: RunFolder) -> list[Picture]:
    first = "The wrongly classified test objects with the most confident predictions, the surest first. "
    return [
        *_curves(run, "mistaken_light_curves", "Light curves of the surest mistakes", first, run.example("mistakes")),
        *_curves(run, "light_curves", "Light curves", "", run.example("light_curves")),
    ]


def _curves(run: RunFolder, name: str, title: str, caption: str, table: pa.Table | None) -> list[Picture]:
    examples = light_curves(table) if table is not None else []
    if not examples:
        return []
    caption += "Flux (AB zero-point 27.5) with its error, in band colours. "
    if any(e.label is not None for e in examples):
        caption += "Above: the class" + (", and what it was taken for. " if any(e.wrong for e in examples) else ". ")
    if any(e.reconstruction is not None for e in examples):
        caption += "Open symbols: observations hidden from the network; dashes: the flux it puts in their place."
    png = save_picture(run.path, name, light_curve_grid(examples), caption)
    svg = tuple(themed_svg(light_curve(example)) for example in examples)
    return [Picture(name, title, caption, png, svg, wide=True)]


def _of_learning(run: RunFolder) -> list[Picture]:
    pictures = []
    for stage, logged in stages_and_folds(run.learning).items():
        caption = "As logged during training" + (f", one line for each of {len(logged)}." if len(logged) > 1 else ".")
        drawn = {f"learning_{stage}": learning_curves(logged), f"learning_{stage}_labels": f1_curves(logged)}
        titles = (f"Learning curves: {stage}", f"F1 of each label on the validation objects: {stage}")
        pictures += [
            _picture(run, name, title, figure, caption)
            for (name, figure), title in zip(drawn.items(), titles)
            if figure
        ]
    return pictures


def _picture(run: RunFolder, name: str, title: str, figure: Figure, caption: str, wide: bool = False) -> Picture:
    png = save_picture(run.path, name, figure, caption)
    return Picture(name, title, caption, png, (themed_svg(figure),), wide)


def _counts(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return confusion.sum(axis=1), confusion.sum(axis=0)
