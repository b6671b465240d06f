import numpy as np


def rows_of(curves):
    return [curves.flux[a:b].tolist() for a, b in zip(curves.offsets[:-1], curves.offsets[1:])]


def test_take_reorders_repeats_and_keeps_empty_objects(make_curves):
    curves = make_curves((4, 0, 7))
    assert rows_of(curves.take(np.array([2, 1, 0, 2]))) == [rows_of(curves)[i] for i in (2, 1, 0, 2)]


def test_keep_drops_observations_not_objects(make_curves):
    curves = make_curves((4, 3))
    kept = curves.keep(curves.owner == 1)
    assert kept.lengths.tolist() == [0, 3]
    assert rows_of(kept)[1] == rows_of(curves)[1]


def test_by_band_keeps_time_order(make_curves):
    curves = make_curves((50, 0, 20))
    banded = curves.by_band(6)
    assert len(banded) == 18
    for row in range(18):
        part = slice(banded.offsets[row], banded.offsets[row + 1])
        assert (banded.band[part] == row % 6).all()
        assert (np.diff(banded.mjd[part]) >= 0).all()
        of_object = slice(curves.offsets[row // 6], curves.offsets[row // 6 + 1])
        assert banded.flux[part].tolist() == curves.flux[of_object][curves.band[of_object] == row % 6].tolist()


def test_first_detection_falls_back_to_highest_snr(make_curves):
    curves = make_curves((10, 10, 0))
    detected = np.zeros(20, dtype=bool)
    detected[[3, 6]] = True
    curves = curves.with_columns(detected=detected)
    first = curves.mjd_of_first_detection()
    assert first[0] == curves.mjd[3]
    assert first[1] == curves.mjd[10 + np.argmax(curves.snr[10:])]
    assert np.isinf(first[2])
