"""Light curves in band colours, with what the network made of hidden observations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from astro_lightning.report.style import BAD, BAND_COLOURS, BAND_SYMBOLS, INK, MUTED, canvas, short, styled

_BANDS = tuple(BAND_COLOURS)
_GAP_DAYS = 60.0  # a season's end
_SHOWN = 9  # on a report


@dataclass(frozen=True)
class LightCurve:
    """One object: n observations and what was said about it.

    Attributes:
        mjd: (n,) days.
        band: (n,) band names; numbers 0 to 5 are u g r i z y.
        flux: (n,) of AB zero-point 27.5, as all records, with `flux_err` (n,).
        reconstruction: (n,) flux by the network, or None.
        masked: (n,) True where the network did not see the observation, or None.
    """

    id: str
    label: str | None
    predicted: str | None
    mjd: np.ndarray
    band: np.ndarray
    flux: np.ndarray
    flux_err: np.ndarray
    reconstruction: np.ndarray | None = None
    masked: np.ndarray | None = None

    @property
    def wrong(self) -> bool:
        """Whether label and prediction are both known and differ."""
        return None not in (self.label, self.predicted) and self.label != self.predicted

    @property
    def title(self) -> str:
        """What the picture shows, in one line."""
        if self.label is None and self.predicted is None:
            return self.id
        if self.wrong:
            return f"{short(self.label, 16)} taken for {short(self.predicted, 16)}"
        return short(self.label or f"predicted {self.predicted}", 30)


def light_curves(table: pa.Table) -> list[LightCurve]:
    """The first objects of an examples table, up to half of them wrongly classified where there are such."""
    rows = [_light_curve(row) for row in table.slice(0, 500).to_pylist()]
    wrong = [row for row in rows if row.wrong]
    right = [row for row in rows if not row.wrong]
    kept = right[: _SHOWN - min(len(wrong), _SHOWN // 2)]
    return kept + wrong[: _SHOWN - len(kept)]


@styled
def light_curve(example: LightCurve) -> Figure:
    """One light curve in a figure of its own."""
    figure, (axes,) = canvas(4.0, 2.7)
    _draw(axes, example)
    return figure


@styled
def light_curve_grid(examples: Sequence[LightCurve]) -> Figure:
    """Up to three light curves a row."""
    columns = min(3, len(examples))
    rows = -(-len(examples) // columns)
    figure, axes = canvas(4.0 * columns, 2.7 * rows, rows, columns)
    for place, example in zip(axes, examples):
        _draw(place, example)
    for place in axes[len(examples) :]:
        place.set_axis_off()
    return figure


def _draw(axes: Axes, example: LightCurve) -> None:
    hidden = np.zeros(len(example.mjd), bool) if example.masked is None else example.masked
    colours = [BAND_COLOURS.get(name, MUTED) for name in example.band]
    low, high = example.flux - example.flux_err, example.flux + example.flux_err
    axes.vlines(example.mjd, low, high, colors=colours, linewidth=0.8)
    for name in sorted(set(example.band), key=lambda b: (_BANDS.index(b) if b in _BANDS else len(_BANDS), b)):
        band = example.band == name
        colour, symbol = BAND_COLOURS.get(name, MUTED), BAND_SYMBOLS.get(name, "o")
        for part, filling, label in ((band & ~hidden, colour, name), (band & hidden, "none", None)):
            x, y = example.mjd[part], example.flux[part]
            axes.plot(x, y, symbol, color=colour, label=label, markersize=4, markerfacecolor=filling)
        if example.reconstruction is not None:
            told = band & np.isfinite(example.reconstruction)
            x, y = _with_gaps(example.mjd[told], example.reconstruction[told])
            axes.plot(x, y, "--", marker="_", markersize=6, color=colour, linewidth=1.0, alpha=0.9)
    values = example.flux if example.reconstruction is None else np.append(example.flux, example.reconstruction)
    values = values[np.isfinite(values)]
    if len(values):
        # One wild observation must not flatten the rest.
        low, high = np.quantile(values, [0.005, 0.995])
        room = 0.12 * (high - low) or 1.0
        axes.set_ylim(low - room, high + room)
    axes.set_title(example.title, color=BAD if example.wrong else INK)
    axes.set(xlabel="MJD (days)", ylabel="Flux")
    axes.locator_params(axis="x", nbins=5)
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    if example.mjd.size:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1.04), handletextpad=0.1, borderpad=0, labelspacing=0.2)


def _with_gaps(mjd: np.ndarray, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same with NaN wherever nothing is known for longer than `_GAP_DAYS`: no line is drawn there."""
    gaps = np.flatnonzero(np.diff(mjd) > _GAP_DAYS) + 1
    return np.insert(mjd, gaps, np.nan), np.insert(flux, gaps, np.nan)


def _light_curve(row: dict) -> LightCurve:
    def numbers(key: str) -> np.ndarray:
        return np.array([np.nan if v is None else v for v in row[key]], float)

    order = np.argsort(numbers("mjd"), kind="stable")
    return LightCurve(
        id=str(row["id"]),
        label=_text(row.get("label")),
        predicted=_text(row.get("predicted")),
        mjd=numbers("mjd")[order],
        band=np.array([_BANDS[b] if isinstance(b, int) and b < len(_BANDS) else str(b) for b in row["band"]])[order],
        flux=numbers("flux")[order],
        flux_err=numbers("flux_err")[order],
        reconstruction=None if row.get("reconstruction") is None else numbers("reconstruction")[order],
        masked=None if row.get("masked") is None else np.array(row["masked"], bool)[order],
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
