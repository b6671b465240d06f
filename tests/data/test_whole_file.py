import errno
import os

import pytest

from astro_lightning.data.whole_file import whole_file


def test_a_full_disk_names_the_file_and_leaves_the_one_before(tmp_path):
    place = tmp_path / "report.html"
    place.write_text("before")
    with pytest.raises(OSError, match=r"report\.html.*No space left"), whole_file(place) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report.html", "before")]


def test_the_file_is_there_when_it_is_whole(tmp_path):
    with whole_file(tmp_path / "values.npy") as temporary:
        temporary.write_text("whole")
        assert not list(tmp_path.glob("*.npy"))
    assert [file.name for file in tmp_path.iterdir()] == ["values.npy"]


def test_a_link_stays_a_link_and_its_file_is_written(tmp_path):
    (tmp_path / "scratch").mkdir()
    link = tmp_path / "scores.parquet"
    link.symlink_to(tmp_path / "scratch" / "mine.parquet")
    with whole_file(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "scratch" / "mine.parquet").read_text() == "new"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["mine.parquet", "scores.parquet", "scratch"]
