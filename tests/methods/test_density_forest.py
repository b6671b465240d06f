import numpy as np
import torch

from astro_lightning.methods.density_forest import DensityForest


def test_learns_how_wide_and_how_skewed_the_errors_of_each_kind_of_object_are(tmp_path):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 2000)
    value = np.where(kind, rng.normal(0, 0.01, 2000), np.where(rng.random(2000) < 0.3, 1.0, rng.normal(0, 0.3, 2000)))
    features = np.column_stack([kind, rng.normal(size=(2000, 3))]).astype(np.float32)
    forest = DensityForest(n_bins=20, n_trees=30, max_features=1.0, min_samples_leaf=20)
    forest.fit(features, value)
    narrow = forest(torch.from_numpy(features[:400]))[kind[:400] == 1]
    wide = forest(torch.from_numpy(features[:400]))[kind[:400] == 0]
    torch.testing.assert_close(narrow.sum(1), torch.ones(len(narrow)), atol=1e-3, rtol=0)
    assert (forest.centre.diff() >= 0).all()
    far = forest.centre > 0.8
    assert narrow[:, far].sum(1).mean() < 0.01
    assert abs(float(wide[:, far].sum(1).mean()) - 0.3) < 0.05

    torch.save(forest.state_dict(), tmp_path / "f.pt")
    other = DensityForest(n_bins=20, n_trees=30)
    other.load_state_dict(torch.load(tmp_path / "f.pt", weights_only=True))
    rows = torch.from_numpy(features[:9])
    torch.testing.assert_close(other(rows) @ other.centre, forest(rows) @ forest.centre)


def test_one_repeated_value_is_no_trouble():
    forest = DensityForest(n_bins=8, n_trees=3)
    forest.fit(np.zeros((50, 2), np.float32), np.full(50, 0.5))
    assert torch.isfinite(forest.centre).all() and torch.isfinite(forest(torch.zeros(2, 2))).all()
