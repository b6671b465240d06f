import itertools
import warnings

import numpy as np
import pytest
import torch
from crepes.base import p_values_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.classification import SplitConformalClassifier
from scipy.stats import binom, kstest

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.pooling import clustered
from astro_lightning.methods.conformal.scores import aps, lac, nonconformity, raps
from astro_lightning.methods.conformal.split import SplitConformal, TooFewObjects


def draw(seed, n, k=4, sharpness=1.0):
    """Probabilities and labels drawn from them: exchangeable and calibrated."""
    rng = np.random.default_rng(seed)
    prob = rng.dirichlet(np.full(k, 1 / sharpness), n)
    label = (prob.cumsum(1) < rng.random((n, 1))).sum(1).clip(0, k - 1)
    return prob, label


def names(k):
    return [f"c{i}" for i in range(k)]


class Table:
    """A 'classifier' whose features are its probabilities, for the libraries compared with."""

    def __init__(self, k):
        self.classes_ = np.arange(k)

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, x, y):
        return self

    def predict_proba(self, x):
        return np.asarray(x)

    def predict(self, x):
        return np.asarray(x).argmax(1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("score", ["lac", "aps", "raps"])
def test_p_values_equal_crepes(seed, score):
    cal, y = draw(seed, 150)
    cal = cal.round(1 if score == "lac" else 2)
    test = draw(seed + 100, 60)[0].round(1 if score == "lac" else 2)
    own = nonconformity(cal, score)[np.arange(len(y)), y]
    scores = nonconformity(test, score)
    marginal = SplitConformal(names(4), score, "marginal").fit(cal, y).p_values(test)
    np.testing.assert_array_equal(marginal, p_values_batch(own, scores, smoothing=False))
    per_class = SplitConformal(names(4), score).fit(cal, y).p_values(test)
    for k in range(4):
        expected = p_values_batch(own, scores[:, k], y, np.full(len(test), k), smoothing=False)
        np.testing.assert_array_equal(per_class[:, k], expected)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_lac_sets_equal_mapie(seed, alpha):
    cal, y = draw(seed, 200)
    test = draw(seed + 50, 300)[0]
    peer = SplitConformalClassifier(Table(4), confidence_level=1 - alpha, conformity_score="lac").conformalize(cal, y)
    ours = SplitConformal(names(4), "lac", "marginal").fit(cal, y).sets(test, alpha)
    np.testing.assert_array_equal(ours, peer.predict_set(test)[1][:, :, 0])


@pytest.mark.parametrize("alpha", [0.1, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_randomised_aps_sets_equal_mapie(seed, alpha):
    cal, y = draw(seed, 200)
    test = draw(seed + 50, 300)[0]
    peer = SplitConformalClassifier(Table(4), confidence_level=1 - alpha, conformity_score="aps", random_state=9)
    peer.conformalize(cal, y)
    expected = peer.predict_set(test, conformity_score_params={"include_last_label": "randomized"})[1][:, :, 0]
    u_cal, u_test = (np.random.RandomState(9).uniform(size=n) for n in (200, 300))
    own = np.sort(aps(cal, u_cal)[np.arange(200), y])
    threshold = own[int(np.ceil(201 * (1 - alpha))) - 1]
    np.testing.assert_array_equal(aps(test, u_test) <= threshold, expected)


@pytest.mark.parametrize("options", [{}, {"randomised": True}, {"conditional": "marginal"}])
@pytest.mark.parametrize("score", ["lac", "aps", "raps"])
def test_coverage_over_many_draws(score, options):
    """Mean coverage over calibration sets lies within binomial error of 1 - alpha (+ 1/(n+1) if not randomised)."""
    alpha, hits, total = 0.2, 0, 0
    for seed in range(150):
        prob, y = draw(seed, 320)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TooFewObjects)
            sets = (
                SplitConformal(names(4), score, seed=seed, **options).fit(prob[:300], y[:300]).sets(prob[300:], alpha)
            )
        hits, total = hits + sets[np.arange(20), y[300:]].sum(), total + 20
    # objects of one draw share a calibration set, so the error is a little larger than binomial
    error = 4 * np.sqrt(alpha * (1 - alpha) / total + alpha * (1 - alpha) / (150 * 75))
    upper = 1 - alpha + (0 if options.get("randomised") else 1 / 60)
    assert 1 - alpha - error <= hits / total <= upper + error


def test_each_class_is_covered_where_marginal_coverage_is_not():
    rng = np.random.default_rng(0)
    y = rng.choice(3, 9000, p=[0.8, 0.15, 0.05])
    logits = rng.normal(size=(9000, 3))
    logits[np.arange(9000), y] += np.array([4.0, 2.0, 0.0])[y]
    prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    half = slice(0, 4500), slice(4500, None)
    member = {c: SplitConformal(names(3), "lac", c).fit(prob[half[0]], y[half[0]]) for c in ("class", "marginal")}
    covered = {c: m.sets(prob[half[1]], 0.1)[np.arange(4500), y[half[1]]] for c, m in member.items()}
    rare = y[half[1]] == 2
    n = int(rare.sum())
    assert covered["marginal"][rare].mean() < 0.7
    assert covered["class"][rare].sum() >= binom.ppf(1e-4, n, 0.9 - 2 / np.sqrt(200) * 0.3)


def test_randomised_p_values_of_ties_are_uniform():
    prob = np.full((4000, 2), 0.5)
    y = np.arange(4000) % 2
    p = SplitConformal(names(2), randomised=True).fit(prob[:2000], y[:2000]).p_values(prob[2000:])
    assert kstest(p[:, 0], "uniform").pvalue > 1e-3
    tied = SplitConformal(names(2)).fit(prob[:2000], y[:2000]).p_values(prob[2000:])
    assert (tied == 1).all()


prob_rows = st.integers(1, 5).flatmap(
    lambda k: st.lists(
        st.lists(st.sampled_from([0.0, 1e-9, 0.25, 1.0]), min_size=k, max_size=k), min_size=2, max_size=30
    )
)


@settings(max_examples=150, deadline=None)
@given(
    prob_rows, st.sampled_from(["lac", "aps", "raps"]), st.booleans(), st.sampled_from(["class", "marginal", "cluster"])
)
def test_p_values_in_range_and_sets_shrink_with_alpha(rows, score, randomised, conditional):
    weights = np.array(rows) + np.where(np.sum(rows, axis=1, keepdims=True) == 0, 1.0, 0.0)
    prob = weights / weights.sum(1, keepdims=True)
    k, n = prob.shape[1], len(prob) // 2
    y = prob.argmax(1)
    model = SplitConformal(names(k), score, conditional, randomised=randomised).fit(prob[:n], y[:n])
    p = model.p_values(prob)
    assert p.shape == prob.shape and (p > 0).all() and (p <= 1).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooFewObjects)
        sizes = [model.sets(prob, a).sum(1) for a in (0.01, 0.2, 0.5, 0.9)]
    assert all((a >= b).all() for a, b in itertools.pairwise(sizes))
    # a class whose calibration is empty can never be ruled out
    absent = np.setdiff1d(np.arange(k), y[:n])
    if conditional == "class" and not randomised:
        assert (p[:, absent] == 1).all()


def test_scores_by_hand():
    prob = np.array([[0.5, 0.2, 0.3]])
    np.testing.assert_allclose(lac(prob), [[0.5, 0.8, 0.7]])
    np.testing.assert_allclose(aps(prob), [[0.5, 1.0, 0.8]])
    np.testing.assert_allclose(raps(prob, 0.1, 1), [[0.5, 1.2, 0.9]])
    np.testing.assert_allclose(aps(prob, [0.5]), [[0.25, 0.9, 0.65]])


def test_the_least_likely_class_ties_in_every_row():
    prob = np.random.default_rng(0).dirichlet(np.ones(5), 500)
    least = np.arange(500), prob.argmin(1)
    assert (aps(prob)[least] == 1).all() and (raps(prob, 0.25, 2)[least] == 1.75).all()


def test_warns_with_the_smallest_alpha():
    prob, y = draw(0, 60, 3)
    y[:] = 0
    y[:4], y[4] = 1, 2
    model = SplitConformal(["Ia", "II", "KN"]).fit(prob, y)
    assert model.smallest_alpha() == {"Ia": 1 / 56, "II": 1 / 5, "KN": 1 / 2}
    with pytest.warns(TooFewObjects, match=r"II 0\.2, KN 0\.5.*9 calibration objects"):
        sets = model.sets(prob, 0.1)
    assert sets[:, 1:].all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.sets(prob, 0.5)


def test_rare_classes_borrow_from_the_class_like_them():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1, 2, 3], [200, 200, 6, 0])
    scores = np.concatenate([rng.normal(0, 0.1, 200), rng.normal(1, 0.1, 200), rng.normal(1, 0.1, 6)])
    pool = clustered(scores, y, 4, min_count=19)
    np.testing.assert_array_equal(pool[:3], [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0]])
    assert pool[3].all()


def test_state_survives_a_checkpoint_without_pickles(tmp_path):
    prob, y = draw(3, 80)
    model = SplitConformal(names(4), "raps", randomised=True).fit(prob, y, weight=np.linspace(0.3, 2, 80))

    def tensors(value):
        if isinstance(value, dict):
            return {k: tensors(v) for k, v in value.items()}
        if isinstance(value, list):
            return [tensors(v) for v in value]
        return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value

    torch.save(tensors(model.state()), tmp_path / "s.ckpt")
    back = SplitConformal.from_state(torch.load(tmp_path / "s.ckpt", weights_only=True))
    np.testing.assert_array_equal(back.p_values(prob), model.p_values(prob))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SplitConformal(["a", "b"]).fit([[0.5, np.nan]], [0]),
        lambda: SplitConformal(["a", "b"]).fit([[3.0, -2.0]], [0]),
        lambda: SplitConformal(["a", "b"]).fit([[0.5, 0.5]], [2]),
        lambda: SplitConformal(["a", "b"]).fit([[0.5, 0.5]], [0, 1]),
        lambda: SplitConformal(["a", "b"]).fit([[1.0]], [0]),
        lambda: SplitConformal(["a", "b"]).fit([[0.5, 0.5]], [0.5]),
        lambda: SplitConformal(["a", "b"]).fit([[0.5, 0.5]], ["a"]),
        lambda: SplitConformal(["a", "b"]).fit([[0.5, 0.5]], [0], weight=[1.0, 1.0]),
        lambda: SplitConformal(["a", "b"]).p_values([[0.5, 0.5]]),
        lambda: SplitConformal(["a", "b"], "best").fit([[0.5, 0.5]], [0]),
        lambda: SplitConformal(["a", "b"], conditional="all"),
        lambda: SplitConformal(["a"]).fit([[1.0]], [0]).sets([[1.0]], 1.0),
    ],
)
def test_bad_input_is_named(wrong):
    with pytest.raises(BadInput):
        wrong()


@pytest.mark.slow
def test_a_million_objects():
    prob, y = draw(0, 1_000_000, 14)
    model = SplitConformal(names(14)).fit(prob[:14_000], y[:14_000])
    assert np.isfinite(model.p_values(prob)).all()
