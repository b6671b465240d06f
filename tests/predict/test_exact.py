"""A score follows its object alone, to the last bit, in every task; so catalogues and files agree however they are cut."""

import pickle

import numpy as np
import pyarrow as pa
import pytest
import yaml
from untrained import TASKS, untrained

from astro_lightning.core.build import build
from astro_lightning.data.records import Records
from astro_lightning.predict.score import Scorer

N = 23


@pytest.fixture(scope="module", params=TASKS)
def scored(request, tmp_path_factory):
    """An exact scorer, objects of the twin that it never saw, and their scores."""
    run = untrained(tmp_path_factory.mktemp(request.param), *TASKS[request.param])
    cfg = yaml.safe_load((run / "config.yaml").read_text())
    table = build(cfg["task"]["simulate"], **cfg["data"]["simulation"] | {"n_objects": N, "seed": 9})
    scorer = Scorer(run, exact=True)
    assert (scorer.calibration is not None) == (request.param == "trees")
    return scorer, table, scorer.predict_table(table)


def test_rows_in_another_order_and_company_have_the_same_bits(scored):
    scorer, table, whole = scored
    order = np.random.default_rng(0).permutation(N)
    parts = [
        scorer.score(Records.from_table(table.take(pa.array(rows)))) for rows in (order[:2], order[2:7], order[7:])
    ]
    again = scorer.finish(pa.concat_tables(parts).take(pa.array(np.argsort(order))))
    assert again.equals(whole)
    assert whole["id"].to_pylist() == table["id"].to_pylist()


def test_it_is_pure_picklable_and_blind_to_labels(scored):
    scorer, table, whole = scored
    blind = table.drop_columns(["label"])
    copy = pickle.loads(pickle.dumps(scorer))
    few = table.slice(0, 3)
    assert copy.exact and copy.predict_table(few).equals(scorer.predict_table(few))
    assert copy.predict_table(blind.slice(0, 3)).select(["id"]).equals(few.select(["id"]))
    assert scorer.predict_table(table.slice(0, 0)).num_rows == 0
    probabilities = [name for name in whole.column_names if name.startswith("prob_")]
    assert len(probabilities) >= 2 and all(np.isfinite(whole[name].to_numpy()).all() for name in probabilities)
