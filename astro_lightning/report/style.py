"""Colours and type of all figures, and their form on a light and on a dark page."""

import io
import re
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from astro_lightning.core.provenance import write_text
from astro_lightning.data.whole_file import whole_file

INK, MUTED, GRID, ACCENT = "#1f2937", "#6b7280", "#e5e7eb", "#0072b2"
GOOD, BAD = "#009e73", "#d55e00"
# Okabe & Ito (2008), without the yellow that white paper swallows.
SERIES = (ACCENT, BAD, GOOD, "#cc79a7", "#e69f00", "#56b4e9", "#7a6a00", "#7f3c8d")
FAINT = "#c3c9d2"
# Rubin Observatory technical note RTN-045: colours and symbols that colour-blind people can tell apart.
BAND_COLOURS = {"u": "#0c71ff", "g": "#49be61", "r": "#c61c00", "i": "#ffc200", "z": "#f341a2", "y": "#5d0000"}
BAND_SYMBOLS = {"u": "o", "g": "^", "r": "v", "i": "s", "z": "*", "y": "p"}

_ON_DARK = {
    INK: "#e5e7eb",
    MUTED: "#9ca3af",
    GRID: "#2b3440",
    FAINT: "#4b5563",
    ACCENT: "#4aa3df",
    BAD: "#f2803a",
    GOOD: "#2fc79a",
    "#7a6a00": "#d7c94c",
    "#7f3c8d": "#b98ad0",
    "#56b4e9": "#a8dcff",
    **dict(zip(BAND_COLOURS.values(), ("#3eb7ff", "#30c39f", "#ff7e00", "#2af5ff", "#a7f9c1", "#fdc900"))),
}

RC = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5"
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,  # each tick says its whole value
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "astro-lightning",
}
styled = mpl.rc_context(RC)  # type: ignore[arg-type]  # newer stubs take literal names alone


@styled
def canvas(width: float = 4.7, height: float = 4.0, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure, size in inches, and its axes row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def plain_ticks(axis: Axis) -> None:
    """Ordinary numbers on a logarithmic axis, whose own labels are formulas."""
    axis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.set_minor_formatter(NullFormatter())


def short(name: object, length: int = 18) -> str:
    """A name that fits beside an axis: what tells names apart is often their end, so the middle goes."""
    text = " ".join(str(name).split())
    tail = length // 3
    return text if len(text) <= length else f"{text[: length - tail - 1]}…{text[-tail:]}"


@styled
def save_picture(run_folder: Path, name: str, figure: Figure, caption: str) -> Path:
    """Write `plots/<name>.png`, on white for slides and dashboards, and its caption in `<name>.txt`; returns the PNG."""
    path = run_folder / "plots" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not savefig: it draws a picture twice, to lay out what lays itself out while it is drawn.
    dpi = figure.dpi
    figure.set(dpi=130, facecolor="white")
    with whole_file(path) as temporary:  # ranks may draw the same at once
        FigureCanvasAgg(figure).print_png(temporary)
    figure.set(dpi=dpi)
    figure.set_layout_engine("none")  # laid out once; the second form need not do it again
    write_text(path.with_suffix(".txt"), caption)
    return path


@styled
def themed_svg(figure: Figure) -> str:
    """SVG without background whose colours follow the reader's light or dark preference."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_facecolor("none")
    FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    svg = re.sub(r"\n\s*", "\n", svg)
    for light in _ON_DARK:
        svg = svg.replace(f": {light}", f": var(--{light[1:]})")
    rules = "".join(f"--{light[1:]}:{light};" for light in _ON_DARK)
    dark_rules = "".join(f"--{light[1:]}:{dark};" for light, dark in _ON_DARK.items())
    theme = f"<style>svg{{{rules}}}@media(prefers-color-scheme:dark){{svg{{{dark_rules}}}}}</style>"
    return re.sub(r"(<svg[^>]*>)", lambda tag: tag[1] + theme, svg, count=1)
