import numpy as np
import pytest
import torch

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.periodograms.light_curves import LightCurves


def test_padding_keeps_every_observation_and_no_other(curves, separate):
    assert curves.count.tolist() == [len(time) for time, _, _ in separate]
    for row, (time, mag, err) in enumerate(separate):
        valid = curves.valid[row]
        np.testing.assert_array_equal(curves.mag[row][valid], mag)
        np.testing.assert_array_equal(curves.mag_err[row][valid], err)
        np.testing.assert_allclose(curves.time_d[row][valid], time, atol=1e-9)
    assert torch.all(curves.weight[~curves.valid] == 0)


def test_times_are_kept_to_a_second_after_a_decade():
    mjd = np.array([58_000.0, 58_000.0 + 1 / 86_400, 62_000.25])
    curve = LightCurves.from_ragged(mjd, np.zeros(3), np.ones(3), np.array([0, 3]))
    assert curve.time_d[0, 1].item() * 86_400 == pytest.approx(1, abs=1e-3)


def test_offsets_need_not_start_at_zero(ragged, curves):
    mjd, mag, err, offsets, _ = ragged
    tail = LightCurves.from_ragged(mjd, mag, err, offsets[1:])
    torch.testing.assert_close(tail.mag[0][tail.valid[0]], curves.mag[1][curves.valid[1]])


def test_an_observation_that_is_not_finite_is_refused():
    with pytest.raises(BadInput, match=r"1 of 2 observations \(first: number 1\)"):
        LightCurves.from_ragged([1.0, 2.0, 3.0], [15.0, 15.0, np.nan], [0.1, 0.1, 0.1], [1, 3])
