import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_run import make_run

from astro_lightning.report.embedding import embedding_map
from astro_lightning.report.plots import write_plots
from astro_lightning.report.run_folder import read_run


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


def test_objects_without_classes_are_drawn_without_a_legend():
    figure, _ = embedding_map(np.random.default_rng(0).normal(size=(9, 4)), np.full(9, None))
    assert not figure.legends and len(figure.axes[0].lines) == 1


@pytest.mark.parametrize("labels", [["a", None] * 4, [None] * 8])
def test_classes_are_spoken_of_where_there_are_some(tmp_path, labels):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.random.default_rng(0).normal(size=24)), 3)
    run = make_run(tmp_path / "t" / "x", None, stages=())
    (run / "examples").mkdir()
    pq.write_table(
        pa.table({"label": pa.array(labels, pa.string()), "embedding": vectors}), run / "examples" / "embedding.parquet"
    )
    (picture,) = write_plots(read_run(run))
    assert ("Classes that overlap" in picture.caption) == ("a" in labels)
