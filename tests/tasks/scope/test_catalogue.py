import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from command import astro_lightning

from astro_lightning.cli import call
from astro_lightning.core.conf import conf_folder
from astro_lightning.data.errors import BadInput
from astro_lightning.data.ragged import Ragged
from astro_lightning.data.records import Records
from astro_lightning.data.surveys.catalina import Catalina
from astro_lightning.data.surveys.scope_table import ScopeTable
from astro_lightning.methods.periodograms.grid import terrestrial
from astro_lightning.tasks.scope.catalogue import write_features
from astro_lightning.tasks.scope.consolidate import consolidate, labelling_sample, labels_above, merge_votes
from astro_lightning.tasks.scope.feature_cache import feature_file
from astro_lightning.tasks.scope.measure import magnitudes, measure
from astro_lightning.tasks.scope.simulate import simulate


def test_features_of_a_catalogue_in_its_own_order(tmp_path, monkeypatch):
    table = simulate(12, 3)
    pq.write_table(table, tmp_path / "in.parquet")
    settings = {"max_per_day": 16.0, "min_gap_d": 0.0, "processes": 1}
    arguments = (Catalina(), tmp_path / "in.parquet", tmp_path / "out.parquet", tmp_path / "cache", settings)
    assert write_features(*arguments) == 12
    out = pq.read_table(tmp_path / "out.parquet")
    assert out["id"].to_pylist() == table["id"].to_pylist()
    assert out.num_columns == 1 + 22 + 17 + 1
    monkeypatch.setattr("astro_lightning.tasks.scope.feature_cache.measure", lambda *a, **k: pytest.fail("measured"))
    assert write_features(*arguments) == 12  # a second call reads what the first one measured


def test_curves_are_thinned_to_the_gap_that_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRO_LIGHTNING_CACHE", str(tmp_path / "cache"))
    table = simulate(2, 3)
    pq.write_table(table, tmp_path / "in.parquet")
    call(["features", str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet"), "min_gap_d=30", "max_per_day=2"])
    kept = magnitudes(Records.from_table(table), np.arange(2), 30.0)[3]
    assert pq.read_table(tmp_path / "out.parquet")["n"].to_pylist() == np.diff(kept).tolist()
    with pytest.raises(BadInput, match="are numbers"):
        call(["features", "in", "out.parquet", "min_gap_d=often"])


@pytest.mark.slow
def test_the_nested_search_gives_the_columns_that_the_published_table_has(tmp_path):
    pq.write_table(simulate(6, 3), tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    options = ("nested=true", "excise=true", "max_per_day=5")
    astro_lightning("features", str(tmp_path / "in.parquet"), str(out), *options, folder=tmp_path)
    records = Records.from_table(next(ScopeTable().read(out)))
    table = yaml.safe_load((conf_folder() / "features" / "phenomenological.yaml").read_text())
    used = [f"{name}_ELS_ECE_EAOV" if e["periodic"] else name for name, e in table.items() if e["include"]]
    assert len(used) == 35 and set(used) <= set(records.flat.column_names)
    of_nested, of_candidates = records.column("period_ELS_ECE_EAOV"), records.column("period_ELS_EAOV")
    assert not terrestrial(1 / of_nested).any()
    assert set(records.column("periods_agree")) <= {0.0, 1.0}
    assert np.isfinite(records.column("f1_amp_ELS_ECE_EAOV")).all() and np.isfinite(of_candidates).all()


def test_excised_frequencies_are_no_candidates_and_have_a_cache_of_their_own(tmp_path):
    records = Records.from_table(simulate(4, 3))
    found = measure(records, np.arange(4), max_per_day=3.0, processes=1, excise=True)
    # Refining moves a candidate at the edge of a zone by less than a step of the grid.
    assert terrestrial(found["frequency"]).mean() < 0.02
    usual, excised = ({"max_per_day": 3.0} | more for more in ({}, {"excise": True}))
    assert feature_file(tmp_path, records, np.arange(4), usual) != feature_file(
        tmp_path, records, np.arange(4), excised
    )


def scores():
    return pa.table({"id": [1, 2, 3, 4], "source": ["a", "a", "b", "b"], "prob_e": [0.2, 0.8, 0.95, 0.97],
                     "prob_rot": [0.99, 0.1, 0.2, 0.92]})  # fmt: skip


def test_curves_of_one_source_become_one_row():
    found = consolidate(scores(), "max")
    assert found["source"].to_pylist() == ["a", "b"]
    assert found["prob_e"].to_pylist() == [0.8, 0.97]
    assert found["id"].to_pylist() == [1, 3]  # what is no probability is that of the first curve


def test_tags_above_a_threshold_are_named():
    assert labels_above(scores(), ["e", "rot"], 0.9) == [["rot"], [], ["e"], ["e", "rot"]]


def test_the_labelling_sample_takes_each_object_once_and_none_that_is_known():
    found = labelling_sample(scores(), ["e", "rot"], known=np.array([3]), count=2)
    assert sorted(found["id"].to_pylist()) == [1, 2, 4]
    assert dict(zip(found["id"].to_pylist(), found["tag"].to_pylist())) == {4: "e", 2: "e", 1: "rot"}


def test_votes_count_net():
    votes = pa.table({"id": [1, 1, 1, 2, 2], "tag": ["e"] * 5, "vote": [1, 1, -1, 1, -1]})
    assert merge_votes(votes).to_pylist() == [{"id": 1, "tag": "e", "net": 1}]


def test_a_ztf_data_release_is_read_without_its_flagged_observations(tmp_path):
    release = {"objectid": [202, 101], "filterid": [1, 1], "hmjd": [[3.0, 1.0, 2.0], [5.0]], "mag": [[15.0, 15.1, 15.2], [16.0]],
               "magerr": [[0.1] * 3, [0.1]], "catflags": [[0, 32768, 0], [0]]}  # fmt: skip
    pq.write_table(pa.table(release), tmp_path / "field.parquet")
    read = next(iter(Catalina().read(tmp_path)))
    assert read["id"].to_pylist() == [202, 101]
    assert read["mjd"].to_pylist() == [[2.0, 3.0], [5.0]]


def test_a_curve_has_one_band_and_no_placeholder_is_a_magnitude(tmp_path, caplog):
    columns = {"id": [1], "mjd": [[1.0, 2.0, 3.0]], "mag": [[15.0, 99.0, 15.2]], "magerr": [[0.1, 0.1, 0.1]]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert np.allclose(next(iter(Catalina().read(tmp_path)))["mag"].to_pylist(), [[15.0, 15.2]])
    assert "1 of 3 observations left out" in caplog.text
    pq.write_table(pa.table(columns | {"band": [["g", "r", "g"]]}), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match="a row of its own"):
        next(iter(Catalina().read(tmp_path)))
    times, flux = np.arange(6.0), np.ones(6)
    offsets = np.array([0, 3, 3, 6])
    lists = {"mjd": times, "flux": flux, "flux_err": flux, "band": np.array([1, 1, 1, 2, 2, 2], np.int8)}
    flat = pa.table({"id": [5, 6, 7]})
    known = Records(flat, {name: Ragged(values, offsets) for name, values in lists.items()}, {})
    assert magnitudes(known, np.arange(3))[3].tolist() == [0, 3, 3, 6]
    lists["band"] = np.array([1, 1, 1, 2, 2, 1], np.int8)
    mixed = Records(flat, {name: Ragged(values, offsets) for name, values in lists.items()}, {})
    with pytest.raises(BadInput, match="object 7 has several bands"):
        magnitudes(mixed, np.arange(3))
