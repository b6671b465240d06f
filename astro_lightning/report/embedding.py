"""Map of the embeddings of test objects."""

import numpy as np
from matplotlib.figure import Figure

from astro_lightning.report.style import FAINT, SERIES, canvas, short, styled

_MARKERS = ("o", "^", "s")


@styled
def embedding_map(embedding: np.ndarray, labels: np.ndarray) -> tuple[Figure, np.ndarray]:
    """The two principal components of embeddings, coloured by class.

    Args:
        embedding: (rows, d), at least two rows and columns.
        labels: (rows,) class names, None where there is none; labels that do not exclude each other stand in one name, which
            is empty where an object has none of them.

    Returns:
        The figure, and the share (2,) of the variance along each component.
    """
    centred = embedding - embedding.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    points = centred @ directions[:2].T
    share = singular[:2] ** 2 / max(float((singular**2).sum()), 1e-30)
    figure, (axes,) = canvas(4.7, 4.8)
    names = np.array([str(label) or "no label" for label in labels])
    known = np.array([label is not None for label in labels])
    classes, count = np.unique(names[known], return_counts=True)
    styles = [(colour, marker) for marker in _MARKERS for colour in SERIES]
    # The largest classes get colours of their own.
    style = dict(zip(classes[np.argsort(-count, kind="stable")], styles))
    rest = ~(known & np.isin(names, list(style)))
    if rest.any():
        axes.plot(*points[rest].T, ".", color=FAINT, markersize=3, label="others")
    for name in sorted(style, key=lambda name: (len(name), name)):
        colour, marker = style[name]
        chosen = known & (names == name)
        mark = {"marker": marker, "markersize": 4, "markeredgewidth": 0, "alpha": 0.75, "linestyle": "none"}
        axes.plot(*points[chosen].T, color=colour, label=short(name), **mark)
    axes.set(xlabel=f"First component ({share[0]:.0%})", ylabel=f"Second component ({share[1]:.0%})")
    # The far ends of a few objects must not squeeze all others together.
    for limits, values in ((axes.set_xlim, points[:, 0]), (axes.set_ylim, points[:, 1])):
        low, high = np.quantile(values, [0.005, 0.995])
        room = 0.08 * (high - low) or 1.0
        limits(low - room, high + room)
    axes.locator_params(axis="x", nbins=6)
    columns = 6 if max(map(len, style), default=0) <= 4 else 3
    if style:
        figure.legend(loc="outside lower center", ncols=columns, columnspacing=1.2, handletextpad=0.1)
    return figure, share
