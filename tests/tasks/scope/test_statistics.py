import warnings

import numpy as np
import pytest
from scipy import stats

from astro_lightning.tasks.scope.statistics import STATISTICS, basic_statistics


@pytest.fixture(scope="module")
def table(curves):
    values = basic_statistics(curves).numpy()
    return {name: values[:, i] for i, name in enumerate(STATISTICS)}


def compare(table, name, separate, formula, rtol=1e-9):
    want = [formula(t, m, e) for t, m, e in separate]
    np.testing.assert_allclose(table[name], want, rtol=rtol, err_msg=name)


def test_against_scipy(table, separate):
    compare(table, "n", separate, lambda t, m, e: len(m))
    compare(table, "median", separate, lambda t, m, e: np.median(m))
    compare(table, "median_abs_dev", separate, lambda t, m, e: stats.median_abs_deviation(m))
    compare(table, "iqr", separate, lambda t, m, e: stats.iqr(m))
    compare(table, "i80r", separate, lambda t, m, e: np.subtract(*np.percentile(m, [90, 10])))
    compare(table, "i90r", separate, lambda t, m, e: np.subtract(*np.percentile(m, [95, 5])))
    compare(table, "sw", separate, lambda t, m, e: stats.shapiro(m / e).statistic, rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of p-values, which are not used
        compare(table, "ad", separate, lambda t, m, e: stats.anderson(m / e).statistic)


def residuals(m, e):
    return (m - np.average(m, weights=e**-2)) / e


def test_moments_and_scatter(table, separate):
    def kurt(t, m, e):
        n, r = len(m), residuals(m, e)
        return n * (n + 1) / ((n - 1) * (n - 2) * (n - 3)) * (r**4).sum() - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))

    compare(table, "wmean", separate, lambda t, m, e: np.average(m, weights=e**-2))
    compare(table, "chi2red", separate, lambda t, m, e: (residuals(m, e) ** 2).sum() / (len(m) - 1))
    compare(table, "roms", separate, lambda t, m, e: (abs(m - np.median(m)) / e).sum() / (len(m) - 1))
    compare(
        table, "skew", separate,
        lambda t, m, e: len(m) / ((len(m) - 1) * (len(m) - 2)) * (residuals(m, e) ** 3).sum(), rtol=1e-6,
    )  # fmt: skip
    compare(table, "smallkurt", separate, kurt, rtol=1e-6)
    compare(
        table, "norm_peak_to_peak_amp", separate,
        lambda t, m, e: (max(m - e) - min(m + e)) / (max(m - e) + min(m + e)),
    )  # fmt: skip
    compare(
        table, "norm_excess_var", separate,
        lambda t, m, e: ((m - np.average(m, weights=e**-2)) ** 2 - e**2).sum()
        / (len(m) * np.average(m, weights=e**-2) ** 2),
    )  # fmt: skip


def test_order_in_time(table, separate):
    def pairs(m, e):
        n = len(m)
        scaled = np.sqrt(n / (n - 1)) * residuals(m, e)
        return scaled, scaled[:-1] * scaled[1:]

    def inverse_von_neumann(t, m, e):
        w = 1 / np.diff(t) ** 2
        variance = np.average((m - np.average(m, weights=e**-2)) ** 2, weights=e**-2)
        return w.sum() * variance / (w * np.diff(m) ** 2).sum()

    compare(table, "welch_i", separate, lambda t, m, e: pairs(m, e)[1].sum(), rtol=1e-7)
    compare(
        table, "stetson_j", separate,
        lambda t, m, e: sum(np.sign(p) * np.sqrt(abs(p)) for p in pairs(m, e)[1]), rtol=1e-7,
    )  # fmt: skip
    compare(
        table, "stetson_k", separate,
        lambda t, m, e: np.mean(abs(pairs(m, e)[0])) / np.sqrt(np.mean(pairs(m, e)[0] ** 2)),
    )  # fmt: skip
    compare(table, "inv_vonneumannratio", separate, inverse_von_neumann, rtol=1e-7)


def test_equal_times_do_not_make_a_ratio_infinite(separate):
    from astro_lightning.methods.periodograms.light_curves import LightCurves

    time, mag, err = separate[0]
    time = time.copy()
    time[5] = time[4]
    curve = LightCurves.from_ragged(time, mag, err, np.array([0, len(time)]))
    assert basic_statistics(curve).isfinite().all()
