from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from astro_lightning.core.task import count_parameters
from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.scope.network import ScopeNetwork
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
    targets = taxonomy.targets(["EA", None, "RRd", "misc"], ["e", "ea", "rrlyr", "rrd"])
    np.testing.assert_array_equal(targets[0], [1, 1, 0, 0])
    assert np.isnan(targets[1]).all()
    np.testing.assert_array_equal(targets[2], [0, 0, 1, 1])
    assert not targets[3].any()
    with pytest.raises(BadInput, match="Nova"):
        taxonomy.targets(["Nova"], ["e"])


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
