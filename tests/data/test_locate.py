from pathlib import Path

import pytest

from astro_lightning.core.conf import cache_folder
from astro_lightning.data.errors import BadInput
from astro_lightning.data.locate import fetched, locate

DATA = {"name": "spcc", "folder": "spcc", "root": None, "files": [{"name": "a.csv"}, {"name": "b.csv"}]}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("ASTRO_LIGHTNING_DATA", raising=False)


def test_a_fetched_folder_is_taken_once_all_its_files_are_there(tmp_path):
    folder = fetched(DATA, tmp_path)
    folder.mkdir(parents=True)
    for name in ("a.csv", "b.csv.part"):
        (folder / name).touch()
        with pytest.raises(BadInput, match="astro-lightning fetch spcc") as caught:
            locate(DATA, tmp_path)
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    (folder / "b.csv").touch()
    assert locate(DATA, tmp_path) == folder


def test_ones_own_files_come_before_fetched_ones_under_whatever_names(tmp_path, monkeypatch):
    folder, own, root = fetched(DATA, tmp_path), tmp_path / "own", tmp_path / "root"
    for place in (folder, own / "spcc", root):
        place.mkdir(parents=True)
    for file in DATA["files"]:
        (folder / file["name"]).touch()
    monkeypatch.setenv("ASTRO_LIGHTNING_DATA", str(own))
    assert locate(DATA, tmp_path) == own / "spcc"
    assert locate(DATA | {"root": str(root)}, tmp_path) == root
    (own / "spcc").rmdir()
    assert locate(DATA, tmp_path) == folder
    with pytest.raises(BadInput, match=r"data\.root=.*absent does not exist"):
        locate(DATA | {"root": str(tmp_path / "absent")}, tmp_path)


def test_a_user_without_a_home_folder_is_told_how_to_choose_the_cache(monkeypatch):
    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ASTRO_LIGHTNING_CACHE", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(BadInput, match="no home folder; set ASTRO_LIGHTNING_CACHE=FOLDER"):
        cache_folder()
