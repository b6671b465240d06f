import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.cross import CrossConformal
from astro_lightning.methods.conformal.prior_shift import em_prior, reweight
from astro_lightning.methods.conformal.ranks import Ranks
from astro_lightning.methods.conformal.split import SplitConformal
from astro_lightning.methods.conformal.temperature import fit_temperature, logits_of, scale
from astro_lightning.methods.conformal.weighted import DensityRatio


def test_unit_weights_change_nothing():
    rng = np.random.default_rng(0)
    s, t = rng.integers(0, 9, 50), rng.integers(0, 9, 30)
    np.testing.assert_array_equal(Ranks(s).p_values(t), Ranks(s, np.ones(50)).p_values(t, np.ones(30)))


def test_weighted_p_value_by_hand():
    table = Ranks([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    np.testing.assert_allclose(table.p_values([2.0, 9.0], [1.0, 3.0]), [(2 + 4 + 1) / 8, 3 / 10])
    with pytest.raises(BadInput):
        table.p_values([1.0], [0.0])
    with pytest.raises(BadInput):
        Ranks([1.0], [-1.0])


def test_weights_restore_coverage_under_covariate_shift():
    """The error of a regression-like score grows with x; the survey has larger x than the calibration set."""
    rng = np.random.default_rng(0)
    plain, weighted, sizes = [], [], []
    for _ in range(10):
        x_cal, x_new = rng.normal(0, 1, 1500), rng.normal(1, 1, 1500)
        cal, new = (np.abs(rng.normal(size=1500)) * np.exp(x / 2) for x in (x_cal, x_new))
        ratio = DensityRatio()
        w_cal = ratio.fit(x_cal[:, None], x_new[:, None])
        w_new = DensityRatio.from_state(ratio.state()).weights(x_new[:, None])
        plain.append((Ranks(cal).p_values(new) > 0.1).mean())
        weighted.append((Ranks(cal, w_cal).p_values(new, w_new) > 0.1).mean())
        sizes.append(w_cal.sum() ** 2 / (w_cal**2).sum())  # Kish (1965)
    assert np.mean(plain) < 0.82
    assert abs(np.mean(weighted) - 0.9) < 0.03
    # exact weights exp(x - 1/2) would leave n / e
    assert 300 < np.mean(sizes) < 1100


def test_density_ratio_is_clipped_and_near_the_truth():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, (3000, 1)), rng.normal(0.5, 1, (2000, 1))
    ratio = DensityRatio(clip=5)
    w = ratio.fit(a, b)
    v = ratio.weights(b)
    assert w.min() >= 0.2 and v.max() <= 5
    truth = norm.pdf(a[:, 0], 0.5) / norm.pdf(a[:, 0])
    assert np.corrcoef(np.log(w), np.log(truth))[0, 1] > 0.9
    with pytest.raises(BadInput):
        ratio.fit(a[:2], b)
    with pytest.raises(BadInput):
        DensityRatio(clip=0.5)


def test_cross_conformal_equals_pooled_ranks_with_one_model():
    rng = np.random.default_rng(0)
    prob, y = rng.dirichlet(np.ones(3), 60), rng.integers(0, 3, 60)
    test = rng.dirichlet(np.ones(3), 40)
    folds = np.array_split(np.arange(60), 5)
    cross = CrossConformal("abc").fit([prob[f] for f in folds], [y[f] for f in folds])
    whole = SplitConformal("abc").fit(prob, y)
    np.testing.assert_allclose(cross.p_values([test] * 5), whole.p_values(test), rtol=1e-12)
    assert cross.smallest_alpha() == whole.smallest_alpha()
    back = CrossConformal.from_state(cross.state())
    np.testing.assert_array_equal(back.p_values([test] * 5), cross.p_values([test] * 5))
    with pytest.raises(BadInput):
        cross.p_values([test])


def test_cross_conformal_covers_with_fewer_vacuous_classes():
    """Gaussian classes, one rare: every object calibrates, so the smallest alpha falls and coverage holds."""
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(60):
        y = np.repeat([0, 1], [60, 12])
        x = rng.normal(y * 2.0, 1)
        fold = rng.permutation(len(y)) % 4
        y_new = np.repeat([0, 1], 50)
        x_new = rng.normal(y_new * 2.0, 1)
        cal, new = [], []
        for f in range(4):
            mean = [x[(fold != f) & (y == k)].mean() for k in (0, 1)]
            cal.append(softmax(-((x[fold == f, None] - mean) ** 2) / 2, axis=1))
            new.append(softmax(-((x_new[:, None] - mean) ** 2) / 2, axis=1))
        model = CrossConformal("ab").fit(cal, [y[fold == f] for f in range(4)])
        hits.append((model.p_values(new) > 0.1)[np.arange(100), y_new])
    assert model.smallest_alpha()["b"] == 1 / 13
    assert np.mean(hits) > 0.88


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(true_temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (8000, 5))
    y = (scale(logits, 1.0).cumsum(1) < rng.random((8000, 1))).sum(1).clip(0, 4)
    assert fit_temperature(logits * true_temperature, y) == pytest.approx(true_temperature, rel=0.05)


def test_temperature_takes_certain_probabilities():
    assert np.isfinite(fit_temperature(logits_of([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), [0, 1, 1]))
    with pytest.raises(BadInput):
        fit_temperature([[np.inf, 0.0]], [0])


def test_em_recovers_the_class_proportions_of_the_survey():
    rng = np.random.default_rng(0)
    train, survey = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.2, 0.7])
    y = rng.choice(3, 20_000, p=survey)
    x = rng.normal([[0, 0], [2, 0], [0, 2]], 1, (20_000, 3, 2))[np.arange(20_000), y]
    likelihood = np.exp(-0.5 * ((x[:, None] - np.array([[0, 0], [2, 0], [0, 2]])) ** 2).sum(2))
    prob = likelihood * train / (likelihood * train).sum(1, keepdims=True)
    found = em_prior(prob, train)
    np.testing.assert_allclose(found, survey, atol=0.02)
    better = reweight(prob, train, found)
    np.testing.assert_allclose(better.sum(1), 1)
    assert (better.argmax(1) == y).mean() > (prob.argmax(1) == y).mean() + 0.1


def test_em_stands_certain_probabilities():
    prior = em_prior([[1.0, 0.0], [1.0, 0.0]], [0.5, 0.5])
    np.testing.assert_allclose(prior, [1, 0], atol=1e-6)
    np.testing.assert_allclose(reweight([[0.0, 1.0]], [0.5, 0.5], [1.0, 0.0]), [[1, 0]])
    with pytest.raises(BadInput):
        em_prior(np.zeros((0, 2)), [0.5, 0.5])
