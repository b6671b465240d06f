"""Pictures of variable stars."""

import numpy as np

from astro_lightning.report.style import save_picture
from astro_lightning.tasks.scope.pictures import periods


def test_periods_stand_at_ordinary_numbers(tmp_path):
    figure = periods(np.array([0.4, 20.0, 300.0]), np.array([0.4, 10.0, 300.0]))
    save_picture(tmp_path, "periods", figure, "Periods.")
    (axes,) = figure.axes
    said = [label.get_text() for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels(which="both")]
    assert {"1", "100"} <= set(said) and not any("$" in text for text in said)
