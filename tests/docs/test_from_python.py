"""The page on notebooks, run from top to bottom in one process."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "from-python.md"


def test_the_blocks_of_the_page_run_in_one_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASTRO_LIGHTNING_CACHE", str(tmp_path / "cache"))
    said: dict = {}
    for block in re.findall(r"^```python\n(.*?)```", PAGE.read_text(), flags=re.M | re.S):
        exec(compile(block, str(PAGE), "exec"), said)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"spectra-0", "spectra-1", "compare.html"}
    assert (tmp_path / "runs" / "spectra-0" / "model_card.md").is_file()
    # A run of Python gave out the default task's command as what repeats it.
    assert said["kept"].command is None
    assert len(said["scores"]) == len(said["vectors"]) == 20 and "prob_STAR" in said["scores"]
    assert sum(len(part["prob_STAR"]) for part in said["tested"]) == said["kept"].splits["test"]
    assert said["sets"][range(200), said["label"][200:]].mean() == pytest.approx(0.9, abs=0.07)
    assert said["period_d"] == pytest.approx(0.73, abs=0.01)
