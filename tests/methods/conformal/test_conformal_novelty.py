import warnings

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.combine import RankCombination
from astro_lightning.methods.conformal.evaluate import auroc
from astro_lightning.methods.conformal.fdr import NoRejection, benjamini_hochberg
from astro_lightning.methods.conformal.novelty import KNearest, Mahalanobis, energy
from astro_lightning.methods.conformal.ranks import Ranks
from astro_lightning.methods.conformal.space import NormalSpace


def known(rng, n):
    y = rng.integers(0, 2, n)
    return rng.normal(0, 1, (n, 4)) + 6 * y[:, None] * np.array([1, 0, 0, 0]), y


def test_knn_is_the_mean_distance():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 3)).astype("f4"), rng.normal(size=(20, 3)).astype("f4")
    expected = np.sort(cdist(b, a), axis=1)[:, :5].mean(1)
    model = KNearest(5).fit(a)
    np.testing.assert_allclose(model.score(b), expected, rtol=1e-4)
    np.testing.assert_array_equal(KNearest.from_state(model.state()).score(b), model.score(b))
    assert KNearest(10).fit(a[:2]).score(b).shape == (20,)
    assert len(KNearest(5, max_reference=30).fit(a).reference) == 30


def test_mahalanobis_by_the_textbook():
    rng = np.random.default_rng(0)
    x, y = known(rng, 200)
    model, each = Mahalanobis().fit(x, y), []
    for mean, own in ((x[y == k].mean(0), x[y == k]) for k in (0, 1)):
        fitted = LedoitWolf(assume_centered=True).fit(own - mean)
        distance = np.einsum("ij,jk,ik->i", x - mean, fitted.precision_, x - mean)
        each.append(distance + np.linalg.slogdet(fitted.covariance_)[1])
    np.testing.assert_allclose(model.score(x), np.min(each, axis=0), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(Mahalanobis.from_state(model.state()).score(x), model.score(x))


def test_a_class_of_one_object_is_bearable():
    x = np.random.default_rng(0).normal(size=(30, 5))
    y = np.r_[np.zeros(29, int), 1]
    assert np.isfinite(Mahalanobis().fit(x, y).score(x)).all()


@pytest.mark.parametrize("score", ["knn", "mahalanobis"])
def test_the_unknown_between_two_classes_is_seen(score):
    rng = np.random.default_rng(0)
    x, y = known(rng, 1000)
    model = {"knn": KNearest(), "mahalanobis": Mahalanobis()}[score]
    model.fit(x) if score == "knn" else model.fit(x, y)
    new = rng.normal(0, 0.7, (200, 4)) + np.array([3, 3, 0, 0])
    truth = np.repeat([False, True], [500, 200])
    assert auroc(model.score(np.vstack([known(rng, 500)[0], new])), truth, 50)["value"] > 0.9


def test_energy_falls_with_evidence():
    assert energy([[5.0, 0.0]]) < energy([[1.0, 0.0]])
    np.testing.assert_allclose(energy([[0.0, 0.0]]), -np.log(2))


def test_normal_space_stands_gaps_ties_and_outliers():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.lognormal(0, 2, 500), rng.integers(0, 2, 500), np.full(500, 3.0), np.full(500, np.nan)])
    x[rng.random(500) < 0.2, 0] = np.nan
    space = NormalSpace(3).fit(x)
    low = space.transform(x)
    assert low.shape == (500, 3) and np.isfinite(low).all()
    normal = space.normal(x)
    there = np.isfinite(x[:, 0])
    assert abs(normal[there, 0].mean()) < 0.05 and abs(normal[there, 0].std() - 1) < 0.1
    np.testing.assert_allclose(normal[:, 2], 0, atol=1e-6)
    assert (normal[~there, 0] == 0).all()
    far = space.normal([[np.inf, -1e30, 1e30, 0.0]])
    assert np.isfinite(far).all()
    np.testing.assert_array_equal(NormalSpace.from_state(space.state()).transform(x), low)


def test_combination_sees_what_either_score_sees():
    rng = np.random.default_rng(0)
    fit = {"a": rng.normal(size=2000), "b": rng.normal(size=2000)}
    model = RankCombination().fit(fit)
    a, b = rng.normal(size=3000), rng.normal(size=3000)
    a[1000:2000] += 3
    b[2000:] += 3
    score = model.score({"a": a, "b": b})
    for k in (1, 2):
        both = np.r_[score[:1000], score[k * 1000 : (k + 1) * 1000]]
        assert auroc(both, np.repeat([False, True], 1000), 20)["value"] > 0.9
    back = RankCombination.from_state(model.state())
    np.testing.assert_array_equal(back.score({"a": a, "b": b}), score)
    assert np.isfinite(score).all()
    with pytest.raises(BadInput):
        model.score({"a": a})


def test_bh_keeps_the_false_discovery_rate():
    """Mean false discovery share over batches stays below q, with power, and nothing is flagged without unknowns."""
    rng = np.random.default_rng(1)
    q, shares, power, empty = 0.2, [], [], []
    for _ in range(60):
        (train, _), (cal, _), (test, _) = (known(rng, n) for n in (400, 600, 300))
        new = rng.normal(0, 0.6, (60, 4)) + np.array([3, 3, 0, 0])
        model = KNearest().fit(train)
        ranks = Ranks(model.score(cal))
        for batch, unknown in ((test, 0), (np.vstack([test, new]), 60)):
            flag = benjamini_hochberg(ranks.p_values(model.score(batch)), q)
            if unknown:
                shares.append(flag[:300].sum() / max(flag.sum(), 1))
                power.append(flag[300:].mean())
            else:
                empty.append(flag.any())
    error = 3 * np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) <= q + error
    assert np.mean(power) > 0.4
    assert np.mean(empty) <= q + 3 * np.sqrt(q * (1 - q) / len(empty))


def test_bh_by_hand_and_its_warnings():
    np.testing.assert_array_equal(benjamini_hochberg([0.01, 0.02, 0.9, 0.04], 0.06), [True, True, False, True])
    with pytest.warns(NoRejection, match=r"no rejection is possible.*0\.111"):
        benjamini_hochberg([1 / 9, 1 / 9], 0.1, n_calibration=8)
    with pytest.warns(NoRejection, match=r"at least 10 of 100 objects.*999 calibration"):
        benjamini_hochberg(np.r_[np.full(9, 0.01), np.ones(91)], 0.1, n_calibration=99)
    # nine of 100 above 1/2 show that a fifth is known: a fifth of the usual number suffices
    with pytest.warns(NoRejection, match=r"at least 20 of 100 objects.*199 calibration"):
        benjamini_hochberg(np.r_[np.full(91, 0.5), np.ones(9)], 0.1, n_calibration=9, adaptive=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flag = benjamini_hochberg(np.r_[np.full(20, 0.1), np.full(71, 0.5), np.ones(9)], 0.1, 9, adaptive=True)
        assert flag.sum() == 20
        assert benjamini_hochberg(np.r_[np.full(10, 0.01), np.ones(90)], 0.1, n_calibration=99).sum() == 10
        assert benjamini_hochberg([], 0.1, n_calibration=9).shape == (0,)


@pytest.mark.parametrize("p", [[0.0], [1.5], [np.nan], [[0.5]]])
def test_bh_refuses_what_is_no_p_value(p):
    with pytest.raises(BadInput):
        benjamini_hochberg(p, 0.1)


def test_empty_or_infinite_input_is_named():
    x = np.zeros((3, 2))
    for wrong in (
        lambda: KNearest().fit(x[:0]),
        lambda: KNearest().fit(x + np.inf),
        lambda: Mahalanobis().fit(x, [0]),
        lambda: NormalSpace().fit(x[:1]),
    ):
        with pytest.raises(BadInput):
            wrong()
