"""The stars that were given a wrong type with the most confidence, folded at the period found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from astro_lightning.data.records import Records
from astro_lightning.report.mistakes import mistaken_objects
from astro_lightning.report.style import save_picture, short
from astro_lightning.tasks.scope.measure import magnitudes
from astro_lightning.tasks.scope.pictures import PANELS, Folded, folded_curves


def draw_mistakes(records: Records, rows: np.ndarray, folder: Path) -> None:
    """Draw `plots/mistaken_curves.png`: the surest mistake of each type, then the second of each; without mistakes none.

    Args:
        records: Light curves.
        rows: Of the tested stars.
        folder: The run folder, with `predictions.parquet`.
    """
    wrong = mistaken_objects(folder / "predictions.parquet", records, rows)
    if not len(wrong):
        return
    wrong = wrong.filter(pc.is_finite(wrong["period"]))
    seen: Counter[str] = Counter()
    order = []
    for i, label in enumerate(wrong["label"].to_pylist()):
        order.append((seen[label], i))
        seen[label] += 1
    wrong = wrong.take([i for _, i in sorted(order)[:PANELS]])
    mjd, mag, _, offsets = magnitudes(records, wrong["row"].to_numpy())
    curves = [
        Folded(
            mjd[start:end],
            mag[start:end],
            star["period"],
            f"{short(star['label'], 14)} taken for\n"
            f"{short(star['predicted'], 12)} ({star['confidence']:.2f})  {star['period']:.4g} d",
        )
        for star, start, end in zip(wrong.to_pylist(), offsets, offsets[1:])
    ]
    if curves:
        caption = (
            "Test stars of each type that were taken for another with the most confidence (in brackets), folded at the "
        )
        caption += "period found."
        save_picture(folder, "mistaken_curves", folded_curves(curves), caption)
