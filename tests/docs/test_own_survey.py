"""The page about a survey of one's own, followed to the letter."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from command import astro_lightning, run_folder
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from astro_lightning.compose import plain
from astro_lightning.core.build import build
from astro_lightning.core.conf import conf_folder
from astro_lightning.data.errors import BadInput

PAGE = Path(__file__).parents[2] / "docs" / "own-survey.md"


@pytest.fixture
def survey(tmp_path, monkeypatch):
    found = dict(
        re.findall(r"^`([\w./]+)` — [^`]*?(?:`[^`]*`[^`]*?)*\n\n```\w+\n(.*?)```", PAGE.read_text(), flags=re.M | re.S)
    )
    assert set(found) == {"mysurvey.py", "conf/data/mysurvey.yaml"}
    for name, content in found.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    OmegaConf.register_new_resolver("run_name", lambda: "test", replace=True)
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        path = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"  # as --config-dir does
        yield plain(compose("config", [path, "task=plasticc", "data=mysurvey"]))["data"]
    GlobalHydra.instance().clear()
    sys.modules.pop("mysurvey", None)


def test_its_files_become_records(survey, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    rows = "a,60002,zg,3.6,0.4\na,60001,ztf_r,36.3,1.0\nb,60001,2,nan,1.0\n"
    (folder / "photometry.csv").write_text("object_id,mjd,filter,flux,flux_err\n" + rows)
    (folder / "photometry_objects.csv").write_text("object_id,kind,redshift\na,SNIa,0.1\nb,?,\n")
    assert survey["classes"] == ["CC", "Ia"]
    (table,) = build(survey["reader"], memory_gib=1).read(folder)
    assert table["label"].to_pylist() == ["Ia", None]
    assert table["mjd"].to_pylist() == [[60001.0, 60002.0], []]
    assert table["flux"][0].as_py() == pytest.approx([36.3 * 10**1.44, 3.6 * 10**1.44], rel=1e-4)


def test_a_band_that_the_survey_has_not_is_named(survey, tmp_path):
    (tmp_path / "photometry.csv").write_text("object_id,mjd,filter,flux,flux_err\na,60002,clear,3.6,0.4\n")
    with pytest.raises(BadInput, match="clear"):
        list(build(survey["reader"], memory_gib=1).read(tmp_path))


@pytest.mark.slow
def test_bands_of_another_system_are_learned_from_at_their_own_wavelengths(survey, tmp_path):
    """Two bands of ATLAS: features, augmentation and scoring."""
    reader = tmp_path / "mysurvey.py"
    text = reader.read_text().replace('bands = "ztf"', 'bands = {"c": 533.0, "o": 679.0}')
    reader.write_text(text)
    rng, rows, objects = np.random.default_rng(0), ["object_id,mjd,filter,flux,flux_err"], ["object_id,kind,redshift"]
    for i in range(60):
        day = np.sort(rng.uniform(0, 100, 30))
        flux = 300 * np.exp(-(((day - 50) / (15, 40)[i % 2]) ** 2)) + rng.normal(0, 5, 30)
        rows += [
            f"{i},{60000 + d:.3f},{'co'[k % 2]},{f:.2f},5.0" for k, (d, f) in enumerate(zip(day, flux, strict=True))
        ]
        objects.append(f"{i},{('SNIa', 'SNII')[i % 2]},0.05")
    files = tmp_path / "files"
    files.mkdir()
    (files / "photometry.csv").write_text("\n".join(rows))
    (files / "photometry_objects.csv").write_text("\n".join(objects))
    words = [
        f"--config-dir={tmp_path / 'conf'}",
        "callbacks=quiet",
        "trainer=cpu",
        "hydra.run.dir=" + str(tmp_path / "run"),
    ]
    own = ["task=plasticc_trees", "data=mysurvey", f"data.root={files}", "task.stages.models=[trees]", "report=false"]
    astro_lightning(*words, *own, folder=tmp_path, PYTHONPATH=str(tmp_path))
    out = tmp_path / "scores.parquet"
    scored = [f"ckpt={tmp_path / 'run'}", "mode=predict", f"data.path={files}", f"out={out}"]
    astro_lightning(*words[:-1], *scored, folder=tmp_path, PYTHONPATH=str(tmp_path))
    found = pq.read_table(out)
    assert ((found["prob_Ia"].to_numpy() > 0.5) == (found["id"].to_numpy() % 2 == 0)).mean() > 0.9


@pytest.mark.slow
def test_its_commands_train_and_test(survey, tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"{star},{60000 + 3 * day},zg,{flux:.2f},1"
        for star in range(24)
        for day, flux in enumerate(
            20 * np.exp(-0.5 * ((np.arange(12) - 6) / (1 + star % 2)) ** 2) + rng.normal(0, 1, 12)
        )
    ]
    objects = [f"{star},{'SNIa' if star % 2 else 'SN*'},0.1" for star in range(24)]
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "photometry.csv").write_text("\n".join(["object_id,mjd,filter,flux,flux_err", *rows]))
    (tmp_path / "files" / "photometry_objects.csv").write_text("\n".join(["object_id,kind,redshift", *objects]))
    here = {"=FOLDER": f"={tmp_path / 'files'}", "=conf": f"={tmp_path / 'conf'}"}
    train, test = (
        [
            re.sub("=(FOLDER|conf)$", lambda m: here[m[0]], w)
            for w in shlex.split(line.partition("-m astro_lightning ")[2])
        ]
        for line in re.findall(r"^.*python -m astro_lightning .*$", PAGE.read_text(), flags=re.M)
        if "data=snana" not in line
    )
    small = ("trainer.max_epochs=1", "model.d_model=16", "model.n_layers=1", "callbacks=quiet")
    astro_lightning(*train, *small, folder=tmp_path, PYTHONPATH=str(tmp_path))
    folder = run_folder(tmp_path, "plasticc")
    assert (folder / "report.html").exists()
    words = [word.replace("RUN_FOLDER", str(folder)) for word in test]
    said = astro_lightning(*words, folder=tmp_path, PYTHONPATH=str(tmp_path)).stdout
    assert "test/accuracy" in said
