"""From scores to pages to vote on, and from votes to labels, as typed in a shell."""

import json

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
