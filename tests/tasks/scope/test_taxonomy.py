from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml

from astro_lightning.core.task import count_parameters
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.tasks.scope.data import ScopeBatches
from astro_lightning.tasks.scope.module import ScopeModule
from astro_lightning.tasks.scope.network import ScopeNetwork
from astro_lightning.tasks.scope.simulate import simulate
from astro_lightning.tasks.scope.table import tag_words
from astro_lightning.tasks.scope.taxonomy import Taxonomy

CONF = Path(__file__).parents[3] / "conf" / "taxonomy"


def load(name):
    return Taxonomy.from_config(yaml.safe_load((CONF / f"{name}.yaml").read_text()))


@pytest.mark.parametrize(("name", "tags"), [("phenomenological", 22), ("ontological", 30), ("catalina", 12)])
def test_published_taxonomies_are_whole(name, tags):
    taxonomy = load(name)
    assert len(taxonomy.tags) == tags
    for tag in taxonomy.tags:
        assert tag not in taxonomy.ancestors(tag)


def test_ancestors_reach_the_top():
    assert load("phenomenological").ancestors("ea") == ["e", "pnp", "vnv"]
    assert load("ontological").ancestors("rrab") == ["rrlyr", "puls"]


def test_types_become_tags_and_unknown_types_stay_unknown():
    taxonomy = load("catalina")
    targets = taxonomy.targets(["EA", None, "RRd", "misc", "Nova"], ["e", "ea", "rrlyr", "rrd"])
    np.testing.assert_array_equal(targets[0], [1, 1, 0, 0])
    assert np.isnan(targets[[1, 4]]).all()
    np.testing.assert_array_equal(targets[2], [0, 0, 1, 1])
    assert not targets[3].any()


def test_conflicts_name_the_objects_and_correction_removes_the_first_kind():
    taxonomy = load("catalina")
    probability = {"e": np.array([0.2, 0.9]), "ea": np.array([0.8, 0.7]), "rrlyr": np.array([0.1, 0.8])}
    found = {(c.kind, c.tags): c.rows.tolist() for c in taxonomy.conflicts(probability)}
    assert found == {("child above parent", ("ea", "e")): [0], ("exclusive tags", ("e", "rrlyr")): [1]}
    corrected = taxonomy.corrected(probability)
    np.testing.assert_allclose(corrected["e"], [0.8, 0.9])
    np.testing.assert_allclose(corrected["ea"], probability["ea"])


def test_a_parent_must_be_known():
    with pytest.raises(BadInput, match="parent 'x'"):
        Taxonomy.from_config({"name": "t", "tags": {"a": {"label": "a", "parent": "x"}}})


@pytest.mark.parametrize(("features", "parameters"), [(35, 20_986), (61, 27_642)])
def test_the_network_has_the_published_size(features, parameters):
    network = ScopeNetwork(features)
    assert count_parameters(network) == parameters
    batch = {"features": torch.randn(3, features), "dmdt": torch.rand(3, 676)}
    assert network(batch).shape == (3, 1)


def test_a_label_that_says_nothing_of_a_tag_is_neither_right_nor_wrong():
    taxonomy = yaml.safe_load((CONF / "catalina.yaml").read_text())
    info = {"classes": ["EA", "EW"], "tags": ["e"], "taxonomy": taxonomy}
    table = pa.table(
        {
            "label": ["EA", "EW", "rotational"],
            "prob_e": [0.9, 0.9, 0.1],
            "prob_EA": [0.9, 0.1, 0.1],
            "prob_EW": [0.1, 0.9, 0.9],
        }
    )
    assert ScopeModule.with_truth(table, info)["truth_e"].to_pylist() == [1, None, 0]  # EW is no type of the taxonomy
    assert ScopeModule.score(table, info)["tag_f1_e"] == 1
    columns = {"id": [1, 2, 3], "vnv": [0.9, 0.4, 0.3], "nonvar": [0.0, 0.2, 0.9], "e": [1.0, np.nan, 0.0]}
    records = Records.from_table(pa.table(columns))
    phenomenological = yaml.safe_load((CONF / "phenomenological.yaml").read_text())
    labels = tag_words(records, ["vnv", "e"], phenomenological, 0.7)
    assert labels == ["vnv e", "?vnv ?e", ""]
    info = {"classes": [], "tags": ["vnv", "e"], "taxonomy": phenomenological}
    table = pa.table({"label": labels, "prob_vnv": [0.9, 0.9, 0.1], "prob_e": [0.9, 0.9, 0.1]})
    assert ScopeModule.with_truth(table, info)["truth_vnv"].to_pylist() == [1, None, 0]
    assert ScopeModule.score(table, info)["tag_macro_f1"] == 1


def test_no_star_has_a_period_of_zero():
    records = Records.from_table(simulate(3, 0))
    period = pa.array([0.0, -99.0, 0.5])
    flat = records.flat.drop_columns(["period"]).append_column("period", period)
    taxonomy = yaml.safe_load((CONF / "catalina.yaml").read_text())
    settings = {"max_per_day": 3.0, "min_gap_d": 0.0, "processes": 1}
    batches = ScopeBatches(
        Records(flat, records.ragged, records.fixed),
        {"classes": [], "tags": ["e"], "taxonomy": taxonomy, "features": settings},
    )
    right = batches[(np.arange(3), 0)]["right"]
    assert torch.isnan(right[:2]).all() and not torch.isnan(right[2]).any()


def test_correction_reaches_from_a_tag_to_the_top():
    probability = {tag: np.array([value]) for tag, value in (("vnv", 0.3), ("pnp", 0.1), ("e", 0.2), ("ea", 0.9))}
    corrected = load("phenomenological").corrected(probability)
    assert {tag: float(value[0]) for tag, value in corrected.items()} == dict.fromkeys(probability, 0.9)
