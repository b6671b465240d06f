import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fake_run import learning
from matplotlib.colors import to_hex

from astro_lightning.report.conformal import conformal_coverage, coverage_by_class, unknown_kinds
from astro_lightning.report.confusion import class_distribution, confusion_matrix
from astro_lightning.report.curves import precision_recall_curves, roc_curves
from astro_lightning.report.learning import f1_curves, learning_curves, stages_and_folds
from astro_lightning.report.light_curves import light_curve, light_curve_grid, light_curves
from astro_lightning.report.reliability import reliability_diagram
from astro_lightning.report.style import BAND_COLOURS, short, themed_svg


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("n", [2, 14, 60])
def test_confusion_matrix_divides_rows_and_writes_counts(n):
    counts = np.diag(np.arange(1, n + 1)) * 3
    counts[0, 1] = 1
    axes = confusion_matrix(counts, [f"c{i}" for i in range(n)]).axes[0]
    opacity = axes.images[0].get_array()[..., 3]
    np.testing.assert_allclose(opacity.sum(axis=1), 1)
    assert opacity[0, 1] == pytest.approx(0.25)
    assert ("25%\n1" in texts(axes)) == (n <= 16)
    assert axes.get_yticklabels()[0].get_text() == "c0 (4)"


def test_class_without_objects_has_an_empty_row():
    axes = confusion_matrix(np.array([[5, 0], [0, 0]]), ["a", "b"]).axes[0]
    assert axes.images[0].get_array()[1, :, 3].max() == 0


@pytest.mark.parametrize("n", [2, 5, 20])
def test_curves_name_every_class_or_the_worst(n):
    rng = np.random.default_rng(0)
    truth, p = rng.integers(0, n, 600), rng.random((600, n))
    p[np.arange(600), truth] += 0.5
    for draw in (roc_curves, precision_recall_curves):
        figure = draw(truth, p, [f"c{i}" for i in range(n)])
        named = [line.get_label() for line in figure.axes[0].lines if line.get_label().startswith("c")]
        assert len(named) == (n if n <= 8 else 4)
        assert max(len(line.get_xdata()) for line in figure.axes[0].lines) <= 301


def test_a_class_keeps_its_colour_in_both_curves():
    rng = np.random.default_rng(0)
    truth, p = rng.integers(0, 12, 900), rng.random((900, 12))
    p[np.arange(900), truth] += rng.random(12)[truth]
    colours = [
        {line.get_label().split()[0]: line.get_color() for line in draw(truth, p, list("abcdefghijkl")).axes[0].lines}
        for draw in (roc_curves, precision_recall_curves)
    ]
    for name in set(colours[0]) & set(colours[1]) & set("abcdefghijkl"):
        assert colours[0][name] == colours[1][name]


def test_curves_of_one_class_say_what_is_missing():
    axes = roc_curves(np.zeros(5, int), np.ones((5, 2)) / 2, ["a", "b"]).axes[0]
    assert texts(axes) == ["needs objects of two classes"]


def test_reliability_states_the_calibration_error():
    confidence = np.full(1000, 0.9)
    figure = reliability_diagram(confidence, np.arange(1000) < 700)
    assert "calibration error 0.200" in texts(figure.axes[0])


def test_coverage_of_uniform_p_values_is_what_was_asked_for():
    rng = np.random.default_rng(0)
    p, truth = rng.random((4000, 3)), rng.integers(0, 3, 4000)
    left, right = conformal_coverage(p, truth, ["a", "b", "c"]).axes
    for line in left.lines[1:]:
        x, y = line.get_data()
        np.testing.assert_allclose(y, x, atol=0.05)
    empty, one, more = (line.get_ydata() for line in right.lines)
    np.testing.assert_allclose(empty, (1 - x) ** 3, atol=0.03)
    np.testing.assert_allclose(empty + one + more, 1)
    axes = coverage_by_class(p, truth, ["a", "b", "never met"], 0.1).axes[0]
    assert [label.get_text().split()[0] for label in axes.get_yticklabels()] == ["a", "b", "never", "all"]
    np.testing.assert_allclose(axes.lines[1].get_xdata(), 0.9, atol=0.03)


def test_unknown_kinds_are_told_apart_and_the_rate_is_kept():
    rng = np.random.default_rng(0)
    p = np.append((rng.integers(0, 2000, 2000) + 1) / 2000, (rng.integers(0, 10, 300) + 1) / 2000)
    left, right = unknown_kinds(p, np.arange(2300) >= 2000).axes
    assert "area 0.99" in left.get_legend().get_texts()[0].get_text()
    asked, false = right.lines[1].get_data()
    assert (false < asked + 0.06).all() and right.lines[2].get_ydata()[-1] == 1
    alone = unknown_kinds(p[:2000], np.zeros(2000, bool)).axes[0]
    np.testing.assert_allclose(*alone.lines[1].get_data(), atol=0.05)


def test_distribution_over_many_orders_is_logarithmic_with_plain_numbers():
    figure = class_distribution(np.array([3, 90_000]), np.array([10, 89_993]), ["rare", "common"])
    assert figure.axes[0].get_xscale() == "symlog"
    assert "10,000" in themed_svg(figure)


def test_learning_curves_show_training_and_validation():
    figure = learning_curves([learning(2.0)])
    first = figure.axes[0]
    assert first.get_title(loc="left") == "loss"
    assert [line.get_label() for line in first.lines] == ["train", "val"]
    assert len(first.lines[1].get_xdata()) == 10
    assert len(figure.axes) == 3
    assert learning_curves([pd.DataFrame({"step": [1], "lr-Adam": [0.1]})]) is None


def test_folds_share_a_figure_and_a_single_value_is_no_curve():
    names = ("trees_fold0", "trees_fold1", "fold0_member0", "fold1_member1")
    folds = stages_and_folds({name: learning(2.0) for name in names} | {"kernel": learning(1.0)[:1]})
    assert {name: len(tables) for name, tables in folds.items()} == {"trees": 2, "folds": 2, "kernel": 1}
    assert len(learning_curves(folds["trees"]).axes[0].lines) == 4
    assert learning_curves(folds["kernel"]) is None


def test_learning_curves_take_the_value_per_step_where_both_exist():
    table = pd.DataFrame(
        {"step": [1, 2, 3], "train/loss_step": [3.0, 2.0, 1.0], "train/loss_epoch": [np.nan, np.nan, 2.0]}
    )
    assert list(learning_curves([table]).axes[0].lines[0].get_ydata()) == [3, 2, 1]


def test_the_f1_of_each_label_has_a_picture_of_its_own():
    steps = np.arange(1, 6)
    table = pd.DataFrame({"step": steps, "val/loss": 1 / steps} | {f"val/f1_tag{i}": steps / 6 for i in range(5)})
    shown = [axes for axes in f1_curves([table, table]).axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == [f"tag{i}" for i in range(5)]
    assert all(len(axes.lines) == 2 and axes.lines[0].get_ydata()[-1] == 5 / 6 for axes in shown)
    assert len(learning_curves([table]).axes) == 1
    assert f1_curves([table[["step", "val/loss"]]]) is None


def example(**changes):
    row = {"id": 1, "label": "AGN", "predicted": "AGN", "mjd": [3.0, 1.0, 2.0], "band": [0, 5, 1]}
    row |= {"flux": [30.0, 10.0, 20.0], "flux_err": [1.0, 1.0, 1.0]} | changes
    return pa.Table.from_pylist([row])


def test_light_curve_is_sorted_and_in_band_colours():
    (found,) = light_curves(example())
    assert list(found.flux) == [10, 20, 30] and list(found.band) == ["y", "g", "u"]
    axes = light_curve(found).axes[0]
    assert {line.get_label(): line.get_color() for line in axes.lines if line.get_label() in "ugy"} == {
        name: BAND_COLOURS[name] for name in "ugy"
    }
    assert [to_hex(c) for c in axes.collections[0].get_colors()] == [BAND_COLOURS[b] for b in "ygu"]


def test_hidden_observations_are_open_and_the_reconstruction_is_drawn():
    table = example(band=["r", "r", "r"], reconstruction=[31.0, 11.0, 21.0], masked=[True, False, False])
    seen, hidden, dashed = light_curve(light_curves(table)[0]).axes[0].lines
    assert list(seen.get_ydata()) == [10, 20] and list(hidden.get_ydata()) == [30]
    assert hidden.get_markerfacecolor() == "none"
    assert dashed.get_linestyle() == "--" and list(dashed.get_ydata()) == [11, 21, 31]


def test_mistakes_are_among_the_light_curves_and_say_so():
    tables = [example(id=i) for i in range(30)] + [example(id=99, predicted="TDE")]
    found = light_curves(pa.concat_tables(tables))
    assert len(found) == 9 and found[-1].id == "99"
    assert light_curve(found[-1]).axes[0].get_title(loc="left") == "AGN taken for TDE"
    assert len(light_curve_grid(found).axes) == 9


def test_unlabelled_empty_or_missing_flux_draws():
    for table in (
        example(label=None, predicted=None),
        example(flux=[None, 1.0, 2.0]),
        example(mjd=[], band=[], flux=[], flux_err=[]),
    ):
        themed_svg(light_curve(light_curves(table)[0]))


def test_short_keeps_the_end_that_tells_names_apart():
    assert short("class number 34", 12) != short("class number 35", 12)
    assert len(short("x" * 100, 12)) == 12


def test_captions_are_written_whatever_the_locale(tmp_path):
    code = "from pathlib import Path; from astro_lightning.report.style import canvas, save_picture; "
    code += f"save_picture(Path({str(tmp_path)!r}), 'a', canvas(1, 1)[0], '\\u2192')"
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code], env=os.environ | locale, check=True)
    assert (tmp_path / "plots" / "a.txt").read_text(encoding="utf-8") == "→"


def test_a_confusion_matrix_of_many_classes_stays_a_picture_for_a_page():
    for n, most in ((30, 30), (500, 130)):
        figure = confusion_matrix(np.eye(n, dtype=int), [f"class {i}" for i in range(n)])
        (axes,) = figure.axes
        assert max(figure.get_size_inches()) <= 18
        assert n // 6 < len(axes.get_yticklabels()) <= most and axes.get_yticklabels()[-1].get_text().startswith(
            "class"
        )
