import numpy as np
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.methods import active_learning as al

P = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.5, 0.5]])


@pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy"])
def test_the_least_sure_are_asked_first(name):
    assert al.select(name, 2, P[None], np.random.default_rng(0)).tolist() == [3, 1]


def test_bald_asks_where_models_disagree_not_where_all_are_unsure():
    disagree = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])
    np.testing.assert_allclose(al.bald(disagree), [np.log(2), 0], atol=1e-9)
    for draws in (P[None], np.stack([P, P])):  # of trees, or of a network without dropout, all draws are one
        with pytest.raises(BadInput, match="several draws"):
            al.select("bald", 1, draws, np.random.default_rng(0))


def test_core_set_covers_what_the_labelled_leave_open():
    pool = np.array([[0.0, 0], [0.1, 0], [10, 0], [0, 7]])
    assert al.core_set(pool, np.array([[0.0, 0]]), 2).tolist() == [2, 3]
    assert al.core_set(pool, np.empty((0, 2)), 2).tolist() == [2, 3]


def test_core_set_tells_distances_apart_far_from_zero():
    points = np.random.default_rng(0).normal(size=(60, 5)) + 1000
    known, pool, asked = points[:5], points[5:], []
    for _ in range(10):
        far = np.linalg.norm(pool[:, None] - np.vstack([known, pool[asked]])[None], axis=2).min(1).argmax()
        asked.append(int(far))
    assert al.core_set(pool, known, 10).tolist() == asked


def test_pseudo_labels_keep_the_surest_in_the_given_share():
    p = np.array([[0.99, 0.01]] * 6 + [[0.96, 0.04]] * 2 + [[0.02, 0.98]] * 2 + [[0.6, 0.4]])
    rows, label = al.pseudo_labels(p, 0.95, np.array([0.5, 0.5]))
    assert np.bincount(label).tolist() == [2, 2] and set(rows[label == 0]) <= set(range(6))
    assert len(al.pseudo_labels(p, 0.95, None)[0]) == 10
    assert len(al.pseudo_labels(p, 0.96, None)[0]) == 10  # the least confidence that will do


def test_trimming_brings_the_share_near_and_wastes_little():
    labels = np.array([1] * 80 + [0] * 20)
    kept = al.trim_to_share(labels, 0.5, 0.001, np.random.default_rng(0))
    assert abs(labels[kept].mean() - 0.5) < 0.02 and (labels[kept] == 0).all() is not True
    assert len(al.trim_to_share(labels, 0.5, 1.0, np.random.default_rng(0))) == 100


@pytest.mark.parametrize("labels", [[1], [0], [0, 0, 0]])
def test_newly_labelled_objects_of_one_class_are_all_kept(labels):
    kept = al.trim_to_share(np.array(labels), 0.5, 0.1, np.random.default_rng(0))
    assert kept.tolist() == list(range(len(labels)))


def test_trimming_leaves_an_object_of_each_class():
    labels = np.array([1, 0, 0, 0, 0])
    kept = al.trim_to_share(labels, 0.95, 0.01, np.random.default_rng(0))
    assert np.bincount(labels[kept]).tolist() == [1, 1]
