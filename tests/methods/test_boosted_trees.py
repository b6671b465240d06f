from types import SimpleNamespace

import numpy as np
import torch
import xgboost as xgb

from astro_lightning.core.loader import BatchSampler, make_loader
from astro_lightning.methods.boosted_trees import BoostedTrees, BoostedTreesModule

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6)).astype(np.float32)
X[RNG.random(X.shape) < 0.1] = np.nan
PARAMETERS = {"max_depth": 3, "eta": 0.2, "subsample": 0.7, "seed": 3}


def grown(y: np.ndarray, n_classes: int, *rounds: int) -> BoostedTrees:
    trees = BoostedTrees(n_classes, PARAMETERS)
    for n in rounds:
        trees.grow(xgb.QuantileDMatrix(X, y), n)
    return trees


def test_probabilities_equal_xgboosts_bit_for_bit():
    for n_classes in (2, 3):
        y = RNG.integers(0, n_classes, len(X))
        trees = grown(y, n_classes, 5, 7)
        plain = xgb.train(trees.xgboost_parameters, xgb.QuantileDMatrix(X, y), 12)
        margin = plain.predict(xgb.DMatrix(X), output_margin=True)
        logits = trees(torch.from_numpy(X)).numpy()
        assert np.array_equal(logits[:, 1] if n_classes == 2 else logits, margin)


def test_trees_travel_in_the_state_dict_and_growth_goes_on():
    y = (np.nan_to_num(X[:, 0]) > 0).astype(int)
    first = grown(y, 2, 6)
    second = BoostedTrees(2, PARAMETERS)
    second.load_state_dict(first.state_dict())
    x = torch.from_numpy(X)
    assert torch.equal(first(x), second(x))
    for trees in (first, second):
        trees.grow(xgb.QuantileDMatrix(X, y), 4)
    # The sums that gradients start from are added in another order after loading.
    assert torch.allclose(first(x), second(x), atol=2e-3)
    assert max(first.gain(), key=first.gain().get) == 0


def test_each_of_several_ranks_grows_trees_from_all_objects():
    class Rows:
        def __getitem__(self, key):
            return {"features": torch.from_numpy(X[key[0]]), "target": torch.from_numpy(key[0] % 2)}

    sampler = BatchSampler(np.arange(300), 50, shuffle=True, rank=1, world_size=2)
    data = SimpleNamespace(train_dataloader=lambda: make_loader(Rows(), sampler), repeat_batches=lambda batches: None)
    module = SimpleNamespace(datamodule=data, hparams={"model": {}})
    BoostedTreesModule.on_fit_start(module)
    assert module.matrix.num_row() == 300


def test_without_trees_all_classes_are_equal():
    assert BoostedTrees(3, {})(torch.zeros(2, 4)).tolist() == [[0, 0, 0]] * 2
