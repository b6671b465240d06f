import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier

from astro_lightning.methods.extra_trees import ExtraTrees


def test_tensors_give_what_scikit_learns_forest_gives_and_survive_a_checkpoint(tmp_path):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 6)).astype(np.float32)
    target = (features[:, 0] > 0).astype(int) + 2 * (features[:, 1] > 1)
    forest = ExtraTrees(5, n_trees=20, max_features=0.5)
    assert torch.equal(forest(torch.zeros(2, 6)), torch.full((2, 5), 0.2))
    forest.fit(features, target, seed=3)
    want = ExtraTreesClassifier(20, max_features=0.5, random_state=3).fit(features, target).predict_proba(features[:50])
    got = forest(torch.from_numpy(features[:50]))
    np.testing.assert_allclose(got[:, : want.shape[1]].numpy(), want, atol=1e-3)
    assert not got[:, want.shape[1] :].any()  # a class that training has not

    torch.save(forest.state_dict(), tmp_path / "f.pt")
    other = ExtraTrees(5, n_trees=20)
    other.load_state_dict(torch.load(tmp_path / "f.pt", weights_only=True))
    gaps = torch.from_numpy(features[:7]).masked_fill(torch.arange(6) == 2, torch.nan)
    torch.testing.assert_close(other(gaps), forest(gaps))
    torch.testing.assert_close(forest(gaps[:1]), forest(gaps)[:1])


def test_trees_tell_neighbouring_numbers_apart():
    features = (16 + np.arange(100) * np.spacing(np.float32(16))).astype(np.float32)[:, None]
    target = np.arange(100) % 2
    forest = ExtraTrees(2, n_trees=20)
    forest.fit(features, target)
    assert (forest(torch.from_numpy(features)).argmax(1).numpy() == target).all()
