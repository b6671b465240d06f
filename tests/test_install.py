"""The configuration is found from a wheel as from a checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command import clean_environment

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_holds_the_configuration_and_runs_away_from_the_checkout(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "-q"]
    subprocess.run(
        [*pip, "wheel", *options, "-w", str(tmp_path), str(ROOT)], check=True, capture_output=True, cwd=tmp_path
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert "astro_lightning/conf/config.yaml" in zipfile.ZipFile(wheel).namelist()
    site = tmp_path / "site"
    subprocess.run(
        [*pip, "install", *options, "--target", str(site), str(wheel)], check=True, capture_output=True, cwd=tmp_path
    )
    environment = clean_environment(tmp_path) | {"PYTHONPATH": str(site)}
    listed = subprocess.run(
        [sys.executable, "-m", "astro_lightning", "tasks"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"{site}/astro_lightning/conf/task/plasticc.yaml" in listed
    composed = subprocess.run(
        [sys.executable, "-m", "astro_lightning", "--cfg", "job"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "name: plasticc" in composed
