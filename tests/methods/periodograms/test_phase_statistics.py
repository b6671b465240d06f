import numpy as np
import pytest
import torch

from astro_lightning.methods.periodograms.phase_statistics import (
    analysis_of_variance,
    conditional_entropy,
    fold_statistics,
)


@pytest.fixture(scope="module")
def frequency(curves, ragged):
    trial = torch.rand(len(curves), 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 8 + 0.01
    trial[:, 0] = torch.from_numpy(1 / ragged[4])
    return trial


def brute_entropy(time, mag, f):
    scaled = (mag - mag.min()) / (mag.max() - mag.min())
    joint, _, _ = np.histogram2d((time * f) % 1, scaled, bins=(20, 10), range=((0, 1), (0, 1)))
    joint /= joint.sum()
    of_phase = joint.sum(1, keepdims=True) + np.zeros_like(joint)
    return np.sum(joint[joint > 0] * np.log(of_phase[joint > 0] / joint[joint > 0]))


def brute_variance(time, mag, f, bins=20):
    bin_of = np.floor((time * f) % 1 * bins).astype(int)
    groups = [mag[bin_of == b] for b in range(bins) if (bin_of == b).any()]
    between = sum(len(g) * (g.mean() - mag.mean()) ** 2 for g in groups) / (bins - 1)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (len(mag) - bins)
    return between / within


def test_conditional_entropy_equals_two_dimensional_histograms(curves, separate, frequency):
    got = conditional_entropy(curves, frequency)
    want = [[brute_entropy(t, m, f) for f in row] for (t, m, _), row in zip(separate, frequency.tolist())]
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_analysis_of_variance_equals_a_loop_over_bins(curves, separate, frequency):
    got = analysis_of_variance(curves, frequency)
    want = [[brute_variance(t, m, f) for f in row] for (t, m, _), row in zip(separate, frequency.tolist())]
    np.testing.assert_allclose(got, want, rtol=1e-7)


def test_the_true_period_is_the_best_of_the_trials(curves, frequency):
    assert conditional_entropy(curves, frequency).argmin(1).tolist() == [0] * len(curves)
    assert analysis_of_variance(curves, frequency).argmax(1).tolist() == [0] * len(curves)


def test_roughness_and_gap_equal_a_sorted_fold(curves, separate, frequency):
    got = fold_statistics(curves, frequency)
    for row, (time, mag, _) in enumerate(separate):
        for column, f in enumerate(frequency[row].tolist()):
            phase = (time * f) % 1
            order = np.argsort(phase)
            turn = np.append(mag[order], mag[order][0])
            rough = (np.diff(turn) ** 2).sum() / ((mag - mag.mean()) ** 2).sum()
            gap = np.diff(np.append(phase[order], phase[order][0] + 1)).max()
            np.testing.assert_allclose(got[row, column], [rough, gap], rtol=1e-9)
