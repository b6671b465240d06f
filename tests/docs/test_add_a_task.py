"""The page that explains how to add a task, followed to the letter."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import astro_lightning, clean_environment, run_folder

PAGE = Path(__file__).parents[2] / "docs" / "add-a-task.md"


def files_of_the_page():
    """File name -> content: a code block belongs to the file named in back-ticks at the start of a paragraph above it."""
    text = PAGE.read_text()
    return dict(re.findall(r"^`([\w./]+)` — [^`]*?(?:`[^`]*`[^`]*?)*\n\n```\w+\n(.*?)```", text, flags=re.M | re.S))


@pytest.mark.slow
def test_a_plug_in_is_installed_listed_run_and_scores(tmp_path):
    files = files_of_the_page()
    parts = ("__init__.py", "survey.py", "task.py", "width.py", "conf/task/pulse.yaml", "conf/task/pulse_width.yaml")
    assert set(files) == {"pyproject.toml", *(f"pulse/{name}" for name in parts)}
    package, site = tmp_path / "package", tmp_path / "site"
    for name, content in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(content)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*pip, "--target", str(site), str(package)], check=True, env=clean_environment(tmp_path), capture_output=True
    )

    listed = astro_lightning("tasks", folder=tmp_path, PYTHONPATH=str(site)).stdout
    assert re.search(r"^pulse +Short and long bursts from their counts\.$", listed, flags=re.M)
    assert "pulse" in astro_lightning("--help", folder=tmp_path, PYTHONPATH=str(site)).stdout
    run = ("task=pulse", "trainer=cpu", "callbacks=quiet")
    said = astro_lightning(*run, folder=tmp_path, PYTHONPATH=str(site)).stdout
    assert "Accuracy" in said
    folder = run_folder(tmp_path, "pulse")
    assert (folder / "report.html").exists()

    import pyarrow.parquet as pq

    sys.path.insert(0, str(site))
    try:
        from pulse.survey import simulate
    finally:
        sys.path.remove(str(site))
    bursts, out = tmp_path / "bursts.parquet", tmp_path / "scores.parquet"
    pq.write_table(simulate(9, seed=77).drop(["label", "width"]), bursts)
    words = ("mode=predict", f"ckpt={folder}", f"data.path={bursts}", f"out={out}")
    astro_lightning(*words, folder=tmp_path, PYTHONPATH=str(site))
    assert pq.read_table(out).column_names == ["id", "prob_long", "prob_short"]

    said = astro_lightning("task=pulse_width", *run[1:], folder=tmp_path, PYTHONPATH=str(site)).stdout
    assert "Outlier share" in said
    folder = run_folder(tmp_path, "pulse_width")
    tested = pq.read_table(folder / "predictions.parquet")
    assert tested.column_names == ["id", "found", "found_err", "label", "width"] and not np.isnan(tested["width"]).any()
    off = tested["found"].to_numpy() / tested["width"].to_numpy() - 1
    assert f"{np.median(off):.3f}" in (folder / "report.html").read_text()
    words = (f"ckpt={folder}", "trainer=cpu", f"out={out}", f"data.path={bursts}")
    astro_lightning("mode=predict", *words, folder=tmp_path, PYTHONPATH=str(site))
    assert pq.read_table(out).column_names == ["id", "found", "found_err"]
