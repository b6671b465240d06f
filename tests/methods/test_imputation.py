import numpy as np
import pytest
import torch
from sklearn.impute import KNNImputer
from sklearn.linear_model import Ridge

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.imputation import DONORS, RIDGE, STRATEGIES, Imputer


@pytest.fixture
def train():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(DONORS, 4, generator=generator)
    rows[:, 2] = rows[:, 0] * 2 - rows[:, 1] + 0.1 * rows[:, 2] + 5
    rows[::5, 2] = torch.nan
    rows[::7, 3] = torch.inf
    return rows


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_half_precision_around_it_changes_nothing(train, strategy):
    imputer = Imputer(4, strategy)
    imputer.fit(train)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = imputer(train)
    assert torch.equal(half, imputer(train))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_gap_is_filled_from_training_rows_whatever_the_batch(train, strategy):
    imputer = Imputer(4, strategy)
    imputer.fit(train)
    other = Imputer(4, strategy)
    other.load_state_dict(imputer.state_dict())
    row = torch.tensor([[1.0, -1.0, torch.nan, 0.3]])
    torch.testing.assert_close(other(row), imputer(torch.cat([row, train * 9]))[:1])
    assert imputer(train).isfinite().all()
    assert torch.equal(imputer(train)[train.isfinite()], train[train.isfinite()])


def test_simple_strategies_column_by_column(train):
    imputer = Imputer(4, ["zero", "mean", "median", "mean"])
    imputer.fit(train)
    filled = imputer(torch.full((1, 4), torch.nan))[0]
    known = train[:, 2][train[:, 2].isfinite()]
    torch.testing.assert_close(filled[:3], torch.stack([torch.tensor(0.0), train[:, 1].mean(), known.median()]))


def test_neighbours_equal_scikit_learns(train):
    imputer = Imputer(4, "knn")
    imputer.fit(train)
    rows = train[:50].masked_fill(~train[:50].isfinite(), torch.nan)
    spread = imputer.spread.numpy()
    reference = KNNImputer(n_neighbors=5).fit(train.masked_fill(~train.isfinite(), torch.nan).numpy() / spread)
    np.testing.assert_allclose(imputer(rows).numpy(), reference.transform(rows.numpy() / spread) * spread, atol=1e-4)


def test_neighbours_are_the_nearest_of_few_training_rows_each_counted_once(train):
    rows = train[:100, [0, 1, 3]].masked_fill(~train[:100, [0, 1, 3]].isfinite(), torch.nan)
    imputer = Imputer(3, "knn")
    imputer.fit(rows)
    scaled, having = (rows / imputer.spread).numpy(), np.flatnonzero(rows[:, 2].isfinite())
    gaps = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    gaps[:, 2] = torch.nan
    distance = ((gaps / imputer.spread).numpy()[:, None, :2] - scaled[None, having, :2]) ** 2
    nearest = having[np.argsort(distance.sum(2), axis=1)[:, :5]]
    np.testing.assert_allclose(imputer(gaps)[:, 2], rows.numpy()[nearest, 2].mean(1), rtol=1e-5)


def test_regression_equals_a_ridge_fit_and_finds_the_relation(train):
    imputer = Imputer(4, ["median", "median", "regress", "median"])
    imputer.fit(train)
    row = torch.tensor([[1.0, -1.0, torch.nan, 0.3]])
    assert imputer(row)[0, 2].item() == pytest.approx(8, abs=0.2)
    filled = Imputer(4, "median")
    filled.fit(train)
    having = train[:, 2].isfinite()
    inputs = ((filled(train)[having] - imputer.median) / imputer.spread)[:, [0, 1, 3]].double().numpy()
    model = Ridge(alpha=RIDGE * len(inputs)).fit(inputs, train[having, 2].numpy())
    want = model.predict(((row - imputer.median) / imputer.spread)[:, [0, 1, 3]].double().numpy())
    assert imputer(row)[0, 2].item() == pytest.approx(want[0], rel=1e-3)


def test_unknown_strategy_is_bad_input():
    with pytest.raises(BadInput, match="mode"):
        Imputer(2, "mode")
