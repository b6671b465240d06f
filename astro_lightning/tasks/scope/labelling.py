"""What a person sees of a star: its light curve, the curve folded at the period found, its dm-dt image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.survey import Survey
from astro_lightning.methods.labelling.question import Card, Question, png, write_question
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.report.style import ACCENT, styled
from astro_lightning.tasks.scope.dmdt import dmdt
from astro_lightning.tasks.scope.measure import magnitudes

VOTES = {"yes": "y", "no": "n", "unsure": "u"}


def write_pages(sample: pa.Table, period_d: dict[object, float], survey: Survey, path: Path, out: Path) -> list[Path]:
    """A labelling page for each tag of a sample: is it this tag?

    Args:
        sample: `id`, `tag`, `probability` of `consolidate.labelling_sample`.
        period_d: Id -> period to fold at, days.
        survey: Reader of the light curves.
        path: File or folder that holds them.
        out: Folder; each page goes to `<tag>` below it, for `astro-lightning label OUT/TAG`.

    Returns:
        The pages.

    Raises:
        BadInput: An object of the sample has no light curve.
    """
    wanted = set(sample["id"].to_pylist())
    tables = []
    for table in survey.read(path):
        rows = [i for i, identifier in enumerate(table["id"].to_pylist()) if identifier in wanted]
        if rows:
            tables.append(table.take(pa.array(rows)))
    missing = wanted - {identifier for table in tables for identifier in table["id"].to_pylist()}
    if missing:
        raise BadInput(
            f"{path} has no light curve of {min(missing, key=str)} ({len(missing)} of {len(wanted)} objects missing)"
        )
    records = Records.from_table(pa.concat_tables(tables).combine_chunks())
    row_of = {identifier: row for row, identifier in enumerate(records.ids.tolist())}
    pages = []
    for tag in dict.fromkeys(sample["tag"].to_pylist()):
        of_tag = sample.filter(pc.equal(sample["tag"], tag))
        ids = of_tag["id"].to_pylist()
        folded = [period_d[identifier] for identifier in ids]
        cards = star_cards(
            records, [row_of[identifier] for identifier in ids], folded, of_tag["probability"].to_pylist()
        )
        pages.append(write_question(Question(f"Is it {tag}?", VOTES), of_tag, cards, out / tag))
    return pages


def star_cards(records: Records, rows: list[int], period_d: list[float], probability: list[float]) -> Iterator[Card]:
    """A card for each of some stars."""
    for row, period, p in zip(rows, period_d, probability):
        curve = LightCurves.from_ragged(*magnitudes(records, np.array([row])))
        time, mag = curve.time_d[0].numpy(), curve.mag[0].numpy()
        pictures = {"light curve": _curve(time, mag, "days")}
        if np.isfinite(period) and period > 0:
            phase = (time / period) % 1
            twice = np.concatenate([phase, phase + 1])
            pictures[f"folded at {period:.5g} d"] = _curve(twice, np.concatenate([mag, mag]), "phase")
        pictures["dm-dt"] = png(dmdt(curve)[0].numpy() ** 0.5)
        yield Card(f"probability {p:.2f}", pictures)


@styled
def _curve(x: np.ndarray, mag: np.ndarray, label: str) -> bytes:
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes: Axes = figure.subplots()
    axes.plot(x, mag, ".", color=ACCENT, markersize=3)
    axes.invert_yaxis()
    axes.set(xlabel=label, ylabel="magnitude")
    return png(figure)
