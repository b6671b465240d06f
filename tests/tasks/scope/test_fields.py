"""A catalogue of fields, scored by stand-ins for trained runs."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from astro_lightning.core.conf import conf_folder
from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.catalina import Catalina
from astro_lightning.tasks.scope.fields import write_fields
from astro_lightning.tasks.scope.labelling import write_pages


@pytest.fixture
def info():
    taxonomy = yaml.safe_load((conf_folder() / "taxonomy" / "catalina.yaml").read_text())
    reader = {"_target_": "astro_lightning.data.surveys.catalina.Catalina"}
    return {"data": {"reader": reader, "memory_gib": 1.0}, "tags": ["e", "rot"], "taxonomy": taxonomy}


def write_field(path, ids, **more):
    columns = {
        "id": ids,
        "mjd": [[1.0, 2.0]] * len(ids),
        "mag": [[15.0, 15.1]] * len(ids),
        "magerr": [[0.1, 0.1]] * len(ids),
    }
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns | more), path)


def score_as(**of_algorithm):
    def score(records):
        n = len(records)
        return {
            name: pa.table({"id": records.ids, **{f"prob_{tag}": np.full(n, p, np.float32) for tag in ("e", "rot")}})
            for name, p in of_algorithm.items()
        }

    return score


def test_algorithms_are_merged_object_by_object_even_where_curves_share_an_id(info, tmp_path):
    write_field(tmp_path / "fields" / "a.parquet", [7, 7, 8])
    assert write_fields(tmp_path / "fields", tmp_path / "out", score_as(dnn=0.2, xgb=0.6), info) == (1, 3)
    found = pq.read_table(tmp_path / "out" / "a.parquet")
    assert found["id"].to_pylist() == [7, 7, 8] and np.allclose(found["prob_e"], 0.4)
    assert np.allclose(found["prob_rot_xgb"], 0.6) and found["tags"].to_pylist() == [[], [], []]


def test_a_field_is_scored_anew_where_run_rule_or_field_are_others_and_kept_else(info, tmp_path):
    fields, out = tmp_path / "fields", tmp_path / "out"
    write_field(fields / "a.parquet", [1, 2])

    def probability(p, **options):
        write_fields(fields, out, score_as(xgb=p), info, **options)
        return np.round(pq.read_table(out / "a.parquet")["prob_e"].to_pylist(), 3).tolist()

    assert probability(0.1, scorers="xgb=RUN1") == [0.1, 0.1]
    assert probability(0.9, scorers="xgb=RUN1") == [0.1, 0.1]  # not scored again
    assert probability(0.9, scorers="xgb=RUN2") == [0.9, 0.9]
    assert probability(0.2, scorers="xgb=RUN2", rule="max") == [0.2, 0.2]
    write_field(fields / "a.parquet", [1, 2, 3])
    assert probability(0.3, scorers="xgb=RUN2", rule="max") == [0.3] * 3
    with pytest.raises(BadInput, match="holds the files to score"):
        write_fields(fields, fields, score_as(xgb=0.5), info)


def test_a_field_in_another_form_is_named(info, tmp_path, caplog):
    write_field(tmp_path / "fields" / "a.parquet", [1])
    (tmp_path / "fields" / "b.csv").write_text("id,mjd,mag,magerr\n1,5,15,0.1\n")
    assert write_fields(tmp_path / "fields", tmp_path / "out", score_as(xgb=0.5), info) == (1, 1)
    assert "1 files are passed over, a field is a *.parquet (first: b.csv)" in caplog.text


def test_one_field_may_name_sources_and_another_not(info, tmp_path, caplog):
    write_field(tmp_path / "fields" / "a.parquet", [1, 2])
    write_field(tmp_path / "fields" / "b.parquet", [3, 4], source=["s", "s"])
    write_fields(tmp_path / "fields", tmp_path / "out", score_as(xgb=0.5), info)
    assert pq.read_table(tmp_path / "out" / "sources.parquet")["source"].to_pylist() == ["s"]
    assert "2 of 4 curves name no source" in caplog.text
    write_field(tmp_path / "fields" / "sources.parquet", [5])
    with pytest.raises(BadInput, match="the name of the summary"):
        write_fields(tmp_path / "fields", tmp_path / "other", score_as(xgb=0.5), info)
    assert not (tmp_path / "other").exists()


def test_a_star_to_label_without_a_light_curve_is_named(tmp_path):
    write_field(tmp_path / "curves.parquet", [1, 2])
    sample = pa.table({"id": [1, 99], "tag": ["e", "e"], "probability": [0.9, 0.9]})
    with pytest.raises(BadInput, match=r"no light curve of 99 \(1 of 2"):
        write_pages(sample, {1: 1.0, 99: 1.0}, Catalina(), tmp_path / "curves.parquet", tmp_path / "out")
