import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from astro_lightning.core.metrics import members
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.evaluate import auroc, coverage, discoveries, proportion, set_sizes
from astro_lightning.methods.conformal.output import contest_prob, set_column, unknown_column, unknown_probability


def test_clopper_pearson():
    got = proportion(7, 10)
    assert got["low"] == pytest.approx(beta.ppf(0.025, 7, 4)) and got["high"] == pytest.approx(beta.ppf(0.975, 8, 3))
    assert proportion(0, 0)["value"] is None


def test_coverage_and_sizes_by_hand():
    member = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool)
    got = coverage(member, [0, 0, 1, 1], ["a", "b"])
    assert (got["a"]["value"], got["b"]["value"], got["all"]["value"]) == (1.0, 0.5, 0.75)
    assert set_sizes(member) == {"mean": 1.0, "n": 4, "empty": 0.25, "single": 0.5, "larger": 0.25}


def test_auroc_with_ties_and_an_interval_that_holds_the_truth():
    rng = np.random.default_rng(0)
    s, u = rng.integers(0, 6, 400), rng.random(400) < 0.3
    s[u] += 2
    got = auroc(s, u)
    assert got["value"] == pytest.approx(roc_auc_score(u, s))
    assert got["low"] < got["value"] < got["high"]
    assert got["high"] - got["low"] < 0.15
    with pytest.raises(BadInput):
        auroc([1.0], [True])


def test_discoveries():
    got = discoveries([True, True, False, False], [True, False, True, False], 0.1)
    assert (got["false_discoveries"]["value"], got["power"]["value"], got["asked"]) == (0.5, 0.5, 0.1)


def test_probability_of_the_unknown_class_is_calibrated():
    rng = np.random.default_rng(0)
    unknown = np.arange(20_000) < 4000
    p = np.where(unknown, rng.beta(0.3, 6, 20_000), 1 - rng.random(20_000))
    got = unknown_probability(p)
    assert got.mean() == pytest.approx(0.2, abs=0.03)
    for low, high in ((0.05, 0.5), (0.5, 1.0)):
        mine = (got > low) & (got <= high)
        assert got[mine].mean() == pytest.approx(unknown[mine].mean(), abs=0.05)
    assert (np.diff(got[np.argsort(p)]) <= 1e-12).all()
    assert unknown_probability(1 - rng.random(20_000)).mean() < 0.03
    assert unknown_probability([]).shape == (0,)


def test_sets_are_lists_of_names():
    sets = set_column(["a", "b"], [[1, 0], [1, 1], [0, 0]])
    assert sets.to_pylist() == [["a"], ["a", "b"], []] and sets.type == pa.list_(pa.string())
    np.testing.assert_array_equal(members(sets, ["a", "b"]), [[1, 0], [1, 1], [0, 0]])
    with pytest.raises(BadInput):
        set_column(["a"], [[1, 0]])
    np.testing.assert_allclose(contest_prob([[0.6, 0.4]], [0.5]), [[0.3, 0.2, 0.5]])
    assert unknown_column(["6", "90"]) == "prob_99" and unknown_column(["Ia"]) == "unknown_probability"
