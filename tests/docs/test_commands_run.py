"""Every command of the README and of the pages is run, here or by the test named below, or its block says what it needs."""

import re
import shlex
import sys

import pyarrow.parquet as pq
import pytest
from command import TINY, begun, clean_environment, run_folder

from astro_lightning.tasks.plasticc.simulate import simulate
from tests.docs.test_commands import CHEAP, ROOT, shown

PYTHON = "python -m astro_lightning"
FIRST = f"{PYTHON} task=plasticc trainer=cpu data.simulation.n_objects=500 trainer.max_epochs=2"
# What the commands after it do with its run, in this order.
AFTER = (
    f"{PYTHON} resume=RUN_FOLDER",
    f"{PYTHON} mode=predict ckpt=RUN_FOLDER data.path=FILE_OR_FOLDER out=scores.parquet",
    f"{PYTHON} mode=embed ckpt=RUN_FOLDER data.path=FILE out=vectors.parquet",
    "astro-lightning compare RUN_FOLDER RUN_FOLDER",
    "astro-lightning score LIGHT_CURVES.parquet --ckpt RUN --out scores.parquet --workers 2",
)
# Recipes of minutes on a twin: one batch of each stage here.
TRIALS = (
    f"{PYTHON} experiment=plasticc_demo",
    f"{PYTHON} experiment=spectra_quick",
)
COMPOSED = f"{PYTHON} task=spectra model=spectra_resnet18 --cfg job"
# Command -> the test that runs the same, smaller, and a word of it.
ELSEWHERE = {
    f"{PYTHON} task=plasticc 'data.split={{train: 0.6, val: 0.1, calibration: 0.15, test: 0.15}}' task.calibrator.alpha=0.05": (
        "tasks/plasticc/test_conformal_run.py", '"task.calibrator.alpha=0.2"',
    ),
    f"{PYTHON} mode=predict ckpt=RUN_FOLDER data.path=FOLDER out=scores.parquet": (
        "predict/test_predict.py", "\"mode=predict\", f\"ckpt={folder}\", f\"data.path={tmp_path / 'survey'}\"",
    ),
    f"{PYTHON} experiment=rb_c1000_quick trainer=cpu": ("tasks/rb_c1000/test_loop.py", "experiment=rb_c1000_quick"),
    f"{PYTHON} experiment=rb_vae_rnn_quick trainer=cpu": ("tasks/rb_vae_rnn/test_runs.py", "experiment=rb_vae_rnn_quick"),
    f"{PYTHON} mode=predict task=rb_rnn ckpt=RUN_FOLDER data.path=FOLDER out=scores.parquet": (
        "tasks/rb_vae_rnn/test_runs.py", '"mode=predict", "task=rb_rnn"',
    ),
    f"{PYTHON} mode=predict task=spectra ckpt=RUN_FOLDER data.path=FOLDER_OF_FITS out=scores.parquet": (
        "tasks/spectra/test_spectra_task.py", '"task=spectra", "mode=predict"',
    ),
    f"{PYTHON} -m task=plasticc sweep=optuna hydra.sweeper.n_trials=20 hydra.sweeper.storage=lr.db "
    "'optimizer.lr=tag(log,interval(1e-4,1e-2))'": ("core/test_sweeps.py", '"sweep=optuna"'),
    f"{PYTHON} -m hydra/launcher=joblib hydra.launcher.n_jobs=2 optimizer.lr=1e-3,3e-4": (
        "core/test_sweeps.py", '"hydra/launcher=joblib", "hydra.launcher.n_jobs=2"',
    ),
    "astro-lightning label RUN_FOLDER": ("methods/test_labelling.py", '"astro_lightning", "label"'),
    f"{PYTHON} task=scope_xgb trainer=cpu": ("tasks/scope/test_many_runs.py", '"task=scope_xgb", *'),
    f"{PYTHON} -m task=plasticc optimizer.lr=1e-3,3e-4 seed=0,1": ("core/test_sweeps.py", '"data.split.test=0.2,0.9"'),
    f"{PYTHON} mode=predict task=scope_xgb ckpt=RUN_FOLDER data.path=LIGHTCURVES.parquet out=catalogue.parquet": (
        "tasks/scope/test_many_runs.py", '"mode=predict", "task=scope_xgb"',
    ),
    f"{PYTHON} mode=predict task=rb_c1000 ckpt=RUN_FOLDER data.path=ALERTS out=scores.parquet": (
        "tasks/rb_c1000/test_loop.py", '"mode=predict", "task=rb_c1000"',
    ),
    f"{PYTHON} task=spectra 'data.split={{train: 0.6, val: 0.1, calibration: 0.15, test: 0.15}}' "
    "+task.calibrator._target_=astro_lightning.methods.conformal.calibrator.Calibrator": (
        "predict/test_calibrated_tasks.py", "methods.conformal.calibrator.Calibrator",
    ),
    f"{PYTHON} mode=calibrate ckpt=RUN_FOLDER data.path=LABELLED_FILE hydra.run.dir=outputs/calibrated": (
        "predict/test_recalibrate.py", '"mode=calibrate", f"ckpt={run}"',
    ),
    "make demo": ("docs/test_commands_run.py", "experiment=plasticc_demo"),
    "make test": ("docs/test_commands_run.py", "make test"),
    "export ASTRO_LIGHTNING_DATA=FOLDER": ("conftest.py", "ASTRO_LIGHTNING_DATA"),
}  # fmt: skip
# Its commands are how its tables were measured; each says on what machine and for how long.
MEASURED = "results.md"


def test_every_command_is_run_or_says_what_it_needs():
    pages = {ROOT / "README.md", *(ROOT / "docs").rglob("*.md")}
    lines = {
        line.partition("  #")[0].strip()
        for line, page, marked in shown()
        if page in pages and not marked and page.name != MEASURED
    }
    run = {FIRST, *AFTER, *TRIALS, COMPOSED, *CHEAP, *ELSEWHERE}
    # A verb alone is its name within a sentence.
    left = {line for line in lines - run if not re.fullmatch(r"astro-lightning \w+", line)}
    assert not left, "no test runs these, and their block's first line does not say '# needs ...':\n" + "\n".join(left)
    assert not run - lines, f"shown nowhere: {run - lines}"
    for file, word in ELSEWHERE.values():
        assert word in (ROOT / "tests" / file).read_text(), f"tests/{file} does not run {word}"


def typed(line, folder, *more, **placeholders):
    """Run a command of a page in `folder`, with what stands for its names in capitals, and smaller by `more`."""
    words = shlex.split(line, comments=True)
    words = words[3:] if words[0] == "python" else words[1:]
    for name, value in placeholders.items():
        words = [str(value) if word == name else word.replace(f"={name}", f"={value}") for word in words]
    done = begun([sys.executable, "-m", "astro_lightning", *words, *more], clean_environment(folder), 300, folder)
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.slow
def test_commands_that_follow_one_run(tmp_path):
    typed(FIRST, tmp_path, *(word for word in TINY if word != "trainer=cpu"), "report=false")
    run = run_folder(tmp_path)
    file = tmp_path / "test_lightcurves.parquet"
    curves = simulate(n_objects=12, seed=9).select(["id", "mjd", "band", "flux", "flux_err", "detected"]).to_pandas()
    curves = curves.rename(columns={"id": "object_id", "band": "passband"})
    curves.explode(["mjd", "passband", "flux", "flux_err", "detected"]).infer_objects().to_parquet(file)
    names = {"RUN_FOLDER": run, "RUN": run, "FILE_OR_FOLDER": file, "FILE": file, "LIGHT_CURVES.parquet": file}
    for line in AFTER:
        typed(line, tmp_path, **names)
    for name in ("scores", "vectors"):
        assert pq.read_table(tmp_path / f"{name}.parquet").num_rows == 12


@pytest.mark.slow
@pytest.mark.parametrize("line", TRIALS)
def test_recipes_take_one_batch_of_each_stage(line, tmp_path):
    more = [] if "trainer=" in line else ["trainer=cpu"]
    typed(line, tmp_path, *more, "debug=fast_dev_run", "callbacks=quiet", "data.simulation.n_objects=100")


def test_what_a_command_line_composes_is_shown(tmp_path):
    assert "spectra" in typed(COMPOSED, tmp_path)
