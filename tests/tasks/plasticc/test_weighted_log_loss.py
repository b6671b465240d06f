import numpy as np
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.plasticc.metric import weighted_log_loss

CLASSES = ("6", "15", "90", "99")


def test_by_hand():
    probability = np.array([[0.5, 0.25, 0.25, 0.0], [0.1, 0.8, 0.05, 0.05], [0.2, 0.4, 0.2, 0.2], [1, 1, 1, 1]])
    target = np.array([0, 1, 1, 3])
    # class 6: ln .5, class 15 (weight 2): mean of ln .8 and ln .4, class 90: absent, class 99 (weight 2): ln .25
    by_class = np.log(0.5), (np.log(0.8) + np.log(0.4)) / 2, np.log(0.25)
    expected = -(by_class[0] + 2 * by_class[1] + 2 * by_class[2]) / 5
    assert weighted_log_loss(probability, target, CLASSES) == pytest.approx(expected, rel=1e-12)


def test_certain_and_wrong_is_clipped():
    assert weighted_log_loss(np.array([[1.0, 0.0]]), np.array([1]), ("6", "90")) == pytest.approx(-np.log(1e-15))
    assert weighted_log_loss(np.array([[1.0, 0.0]]), np.array([0]), ("6", "90")) == pytest.approx(0, abs=1e-14)


def test_scale_of_rows_does_not_matter():
    probability = np.random.default_rng(0).random((50, 4))
    target = np.random.default_rng(1).integers(0, 4, 50)
    scaled = probability * np.arange(1, 51)[:, None]
    assert weighted_log_loss(probability, target, CLASSES) == pytest.approx(weighted_log_loss(scaled, target, CLASSES))


@pytest.mark.parametrize(
    ("probability", "target"),
    [
        ([[0.0] * 4], [0]),
        ([[np.nan, 1, 0, 0]], [0]),
        ([[-0.1, 1, 0, 0]], [0]),
        ([[1, 0, 0]], [0]),
        ([[1, 0, 0, 0]], [4]),
    ],
)
def test_bad_rows_are_refused(probability, target):
    with pytest.raises(BadInput):
        weighted_log_loss(np.array(probability), np.array(target), CLASSES)
