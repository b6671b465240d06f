"""From scores to pages to vote on, and from votes to labels, as typed in a shell."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import astro_lightning

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.catalina import Catalina
from astro_lightning.tasks.scope.simulate import simulate
from astro_lightning.tasks.scope.votes import write_sample, write_votes


@pytest.fixture(scope="module")
def stars(tmp_path_factory):
    """Light curves and their scores: every other star is probably an eclipsing binary."""
    folder = tmp_path_factory.mktemp("stars")
    table = simulate(12, 3)
    pq.write_table(table, folder / "curves.parquet")
    probability = np.where(np.arange(12) % 2, 0.95, 0.3)
    scores = {"id": table["id"], "prob_EA": probability, "prob_e": probability, "prob_rot": 1 - probability}
    scores["prob_rotational"] = scores["prob_rot"]  # a type, as EA is
    pq.write_table(pa.table(scores | {"period": table["period"]}), folder / "scores.parquet")
    pq.write_table(pa.table({"id": [1, 2]}), folder / "known.parquet")
    return folder


@pytest.mark.slow
def test_a_sample_is_shown_voted_on_and_merged(stars, tmp_path):
    places = (str(stars / "scores.parquet"), str(stars / "curves.parquet"), str(tmp_path / "a"))
    said = astro_lightning("sample", *places, "count=3", f"known={stars / 'known.parquet'}", folder=tmp_path).stdout
    assert "3 objects: astro-lightning label" in said
    sample = pq.read_table(tmp_path / "a" / "sample.parquet")
    assert sorted(path.parent.name for path in (tmp_path / "a").glob("*/index.html")) == ["e", "rot"]
    assert json.loads((tmp_path / "a" / "counts.json").read_text()) == {"e": 3, "rot": 3}
    assert not {1, 2} & set(sample["id"].to_pylist())
    page = (tmp_path / "a" / "e" / "index.html").read_text()
    for shown in ("light curve", "folded at", "dm-dt"):
        assert page.count(f'"{shown}') == 3

    ids = pq.read_table(tmp_path / "a" / "e" / "candidates.parquet")["id"].to_pylist()
    votes = zip(ids, ("yes", "no", "unsure"))
    (tmp_path / "a" / "e" / "labels.csv").write_text("id,label\n" + "".join(f"{i},{vote}\n" for i, vote in votes))
    astro_lightning("votes", str(tmp_path / "new.parquet"), str(tmp_path / "a"), folder=tmp_path)
    assert pq.read_table(tmp_path / "new.parquet").to_pylist() == [{"id": ids[0], "tag": "e", "net": 1}]


def test_what_cannot_be_sampled_or_merged_is_bad_input(stars, tmp_path):
    settings = {"count": 2, "least": 0.9, "seed": 0, "known": None}
    with pytest.raises(BadInput, match="prob_cv"):
        write_sample(stars / "scores.parquet", Catalina(), stars / "curves.parquet", tmp_path, ["cv"], **settings)
    with pytest.raises(BadInput, match="no question"):
        write_votes([stars], tmp_path / "v.parquet")
    write_sample(stars / "scores.parquet", Catalina(), stars / "curves.parquet", tmp_path, ["e"], **settings)
    with pytest.raises(BadInput, match="nobody has voted"):
        write_votes([tmp_path], tmp_path / "v.parquet")
    (tmp_path / "e" / "labels.csv").write_text("id,label\n")
    places = (stars / "scores.parquet", Catalina(), stars / "curves.parquet", tmp_path, ["e"])
    with pytest.raises(BadInput, match="holds votes on an earlier sample"):
        write_sample(*places, **settings)
    with pytest.raises(BadInput, match="count=-1"):
        write_sample(*places, **settings | {"count": -1})


def test_votes_of_a_folder_that_is_named_twice_count_once_and_those_of_two_people_both(stars, tmp_path):
    settings = {"count": 1, "least": 0.9, "seed": 0, "known": None}
    mine, yours, out = tmp_path / "mine", tmp_path / "yours", tmp_path / "votes.parquet"
    write_sample(stars / "scores.parquet", Catalina(), stars / "curves.parquet", mine, ["e"], **settings)
    (identifier,) = pq.read_table(mine / "sample.parquet")["id"].to_pylist()
    (mine / "e" / "labels.csv").write_text(f"id,label\n{identifier},yes\n")
    shutil.copytree(mine, yours)
    for folders, net in (([mine], 1), ([mine, mine / "e", yours / ".." / "mine"], 1), ([mine / "e", yours], 2)):
        assert write_votes(folders, out) == (1, 1)
        assert pq.read_table(out).to_pylist() == [{"id": identifier, "tag": "e", "net": net}]


@pytest.mark.parametrize(("of_scores", "of_known"), [("int64", "string"), ("string", "int64"), ("int64", "double")])
def test_known_objects_are_left_out_whatever_the_type_of_their_ids(stars, tmp_path, of_scores, of_known):
    for name, kind in (("scores", of_scores), ("curves", of_scores), ("known", of_known)):
        table = pq.read_table(stars / f"{name}.parquet").slice(0, 4)
        pq.write_table(table.set_column(0, "id", table["id"].cast(kind)), tmp_path / f"{name}.parquet")
    places = (tmp_path / "scores.parquet", Catalina(), tmp_path / "curves.parquet", tmp_path / "a", ["e"])
    write_sample(*places, count=4, least=0.0, seed=0, known=str(tmp_path / "known.parquet"))
    everyone, left = (
        pq.read_table(tmp_path / name)["id"].to_pylist() for name in ("scores.parquet", "a/sample.parquet")
    )
    assert set(everyone) - set(left) == {str(i) if of_scores == "string" else i for i in (1, 2)}


def test_known_ids_that_are_none_of_the_scores_are_one_line(stars, tmp_path):
    pq.write_table(pa.table({"id": ["1", "V1 Cyg"]}), tmp_path / "known.parquet")
    places = (stars / "scores.parquet", Catalina(), stars / "curves.parquet", tmp_path / "a", ["e"])
    with pytest.raises(BadInput, match=r"known\.parquet.*V1 Cyg") as error:
        write_sample(*places, count=2, least=0.9, seed=0, known=str(tmp_path / "known.parquet"))
    assert "\n" not in str(error.value)
