import numpy as np
import pytest

from astro_lightning.tasks.rb_c1000.simulate import BOGUS_KINDS, inject, simulate

RNG = np.random.default_rng(0)


def centre(images: np.ndarray) -> np.ndarray:
    """Mean of the inner 3 x 3 pixels."""
    middle = images.shape[-1] // 2
    return np.nanmean(images[..., middle - 1 : middle + 2, middle - 1 : middle + 2], axis=(-2, -1))


def test_injected_transients_shine_in_science_and_difference_but_not_in_the_template():
    real = RNG.normal(100, 5, (4, 3, 21, 21)).astype(np.float32)
    images = inject(np.array(["transient"] * 200), real, np.random.default_rng(1))
    rise = (centre(images) - 100) / 5
    assert (rise[:, [0, 2]] > 0.7).mean() > 0.9 and np.abs(np.median(rise[:, 1])) < 0.5


def test_what_triggered_the_alert_stands_beside_the_centre_and_missing_pixels_stay_missing():
    real = RNG.normal(0, 1, (1, 3, 21, 21)).astype(np.float32)
    real[:, :, 10, 10], real[:, :, 0] = 1e4, np.nan
    images = inject(np.array(["noise_peak"] * 50), real, np.random.default_rng(2))
    assert np.nanmax(centre(np.abs(images))) < 1e3 and np.nanmax(images) > 9e3
    assert np.isnan(images).any((1, 2, 3)).mean() > 0.5


def test_stamps_of_a_file_serve_as_backgrounds_of_every_kind(tmp_path):
    np.savez(tmp_path / "x.npz", triplets=RNG.normal(0, 1, (3, 3, 30, 30)).astype(np.float32))
    words = {"n_objects": 80, "seed": 5, "side_px": 21, "backgrounds": str(tmp_path / "x.npz")}
    table = simulate(**words)
    assert set(table["kind"].to_pylist()) == {"transient", *BOGUS_KINDS}
    assert table["stamp"].type.list_size == 3 * 21**2
    first, again = (t["stamp"].combine_chunks().flatten().to_numpy() for t in (table, simulate(**words)))
    assert np.array_equal(first, again, equal_nan=True)


@pytest.mark.parametrize("kind", BOGUS_KINDS)
def test_every_kind_of_bogus_leaves_a_trace_in_the_difference(kind):
    quiet = np.zeros((1, 3, 21, 21), dtype=np.float32) + RNG.normal(0, 1, (1, 3, 21, 21)).astype(np.float32)
    images = inject(np.array([kind] * 50), quiet, np.random.default_rng(3))
    assert (np.nanmax(np.abs(images[:, 2]), axis=(1, 2)) > 3.5).mean() > 0.6
