import numpy as np
import pytest

from astro_lightning.report.embedding import embedding_map


def test_the_map_shows_the_directions_of_largest_scatter():
    rng = np.random.default_rng(0)
    across = rng.normal(size=(300, 2)) * (5.0, 2.0)
    rotation, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    embedding = across @ rotation[:2] + 100
    labels = np.array(["a", "b", None] * 100, dtype=object)
    figure, share = embedding_map(embedding, labels)
    assert share.sum() == pytest.approx(1)
    assert share[0] == pytest.approx(25 / 29, abs=0.05)
    drawn = {line.get_label(): np.abs(line.get_xdata()) for line in figure.axes[0].lines}
    assert set(drawn) == {"others", "a", "b"}
    np.testing.assert_allclose(drawn["a"].mean(), np.abs(across[::3, 0]).mean(), rtol=0.05)


def test_more_classes_than_can_be_told_apart_are_drawn_as_others():
    labels = np.array([str(i % 30) for i in range(120)], dtype=object)
    figure, _ = embedding_map(np.random.default_rng(0).normal(size=(120, 4)), labels)
    assert len(figure.axes[0].lines) == 25
