import json

import pytest
from command import TINY, astro_lightning
from hydra.core.override_parser.overrides_parser import OverridesParser

from astro_lightning.core.stages import objective
from astro_lightning.report.sweep import job_folders
from astro_lightning.sweeper import _distribution, _typed

WORDS = ("task=plasticc_finetune", *TINY, "trainer.max_epochs=1", "report=false")


@pytest.mark.slow
def test_a_tpe_search_goes_on_with_its_study(tmp_path):
    search = (
        *WORDS,
        "sweep=optuna",
        f"hydra.sweeper.storage={tmp_path / 'lr.db'}",
        "optimizer.lr=tag(log,interval(1e-4,1e-2))",
    )
    astro_lightning("-m", *search, "hydra.sweeper.n_trials=2", f"hydra.sweep.dir={tmp_path / 's'}", folder=tmp_path)
    first = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert len(first) == 2 and len({job["overrides"][-1] for job in first}) == 2
    astro_lightning("-m", *search, "hydra.sweeper.n_trials=3", f"hydra.sweep.dir={tmp_path / 's'}", folder=tmp_path)
    jobs = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert [job["job"] for job in sorted(jobs, key=lambda job: int(job["job"]))] == ["0", "1", "2"]
    assert len({job["overrides"][-1] for job in jobs}) == 3


@pytest.mark.slow
def test_a_stopped_sweep_given_again_keeps_what_is_done_and_goes_on_with_the_rest(tmp_path):
    sweep = tmp_path / "s"
    words = ("-m", *WORDS, f"hydra.sweep.dir={sweep}")
    astro_lightning(*words, "seed=0,1", folder=tmp_path)
    whole = json.loads((sweep / "1" / "metrics.json").read_text())
    done = (sweep / "0" / "predictions.parquet").stat().st_mtime_ns
    (sweep / "1" / "metrics.json").unlink()  # as where it was stopped after the training
    job = json.loads((sweep / "1" / "job.json").read_text())
    (sweep / "1" / "job.json").write_text(json.dumps(job | {"finished": False}))
    astro_lightning(*words, "seed=0,1", folder=tmp_path)
    assert (sweep / "0" / "predictions.parquet").stat().st_mtime_ns == done
    assert json.loads((sweep / "1" / "metrics.json").read_text()) == whole
    assert [job["job"] for job in json.loads((sweep / "sweep.json").read_text())] == ["0", "1"]


@pytest.mark.slow
def test_jobs_in_parallel_processes_and_one_that_cannot_run(tmp_path):
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    astro_lightning(
        "-m",
        *WORDS,
        *launcher,
        "data.split.test=0.2,0.9",
        f"hydra.sweep.dir={tmp_path / 's'}",
        folder=tmp_path,
        expect=2,
        fresh=True,  # joblib's workers begin from the main module
    )
    jobs = json.loads((tmp_path / "s" / "sweep.json").read_text())
    values = {job["job"]: job["objective"] for job in jobs}
    assert values["0"] is not None and values["1"] is None
    assert "data.split" in (tmp_path / "s" / "1" / "error.txt").read_text()


def test_a_sweep_whose_jobs_have_folders_of_the_users_own_names_has_its_table_and_fails_with_them(tmp_path):
    words = (
        "-m",
        "optimizer.lr=bad,worse",
        f"hydra.sweep.dir={tmp_path / 's'}",
        "hydra.sweep.subdir=lr-${optimizer.lr}/x",
    )
    finished = astro_lightning(*words, folder=tmp_path, expect=2)
    assert "2 jobs failed; the first: optimizer.lr=bad" in finished.stderr
    jobs = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert [(job["job"], job["overrides"][0]) for job in jobs] == [
        ("lr-bad/x", "optimizer.lr=bad"),
        ("lr-worse/x", "optimizer.lr=worse"),
    ]


def test_the_jobs_of_a_sweep_are_told_from_other_runs_in_its_folder(tmp_path):
    for name in ("10", "9", "20261201-120000-7", "lr=0.1,path=/data/seed=1", "sweep-1/0", "9/checkpoints"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "job.json").touch()

    def found(subdir):
        return [path.relative_to(tmp_path).as_posix() for path in job_folders(tmp_path, subdir)]

    assert found("${hydra.job.num}") == ["9", "10"]
    assert found("lr=${optimizer.lr},path=${data.root}/seed=${oc.select:seed,${hydra.job.num}}") == [
        "lr=0.1,path=/data/seed=1"
    ]


def test_a_search_in_an_experiment_of_ones_own_and_settings_that_cannot_be_meant(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "search.yaml").write_text(
        "# @package _global_\ndefaults: [{override /sweep: optuna}]\nhydra: {sweeper: {n_trials: 7}}\n"
    )
    own = (f"--config-dir={tmp_path}", "experiment=search")
    shown = astro_lightning(*own, "--cfg", "hydra", "--package", "hydra.sweeper", folder=tmp_path).stdout
    assert "OptunaSweeper" in shown and "n_trials: 7" in shown
    for word, said in (
        ("hydra.sweeper.n_jobs=0", "hydra.sweeper.n_jobs=0: give a whole number"),
        ("hydra.sweeper.n_trials=many", "hydra.sweeper.n_trials=many: give a whole number"),
        ("hydra.sweeper.direction=up", "hydra.sweeper.direction=up: give minimize, maximize or null"),
        ("seed=tag(log,interval(0,1))", "seed=tag(log,interval(0,1)): "),
        ("seed=interval(1,0)", "seed=interval(1,0): "),
    ):
        words = ("-m", *own, "optimizer.lr=interval(0.1,1)", word, f"hydra.sweep.dir={tmp_path / 's'}")
        assert f"error: {said}" in astro_lightning(*words, folder=tmp_path, expect=2).stderr


def test_a_study_is_not_gone_on_with_in_another_direction_or_over_other_choices(tmp_path):
    words = (
        "-m",
        "sweep=optuna",
        "hydra.sweeper.n_trials=1",
        f"hydra.sweep.dir={tmp_path / 's'}",
        "optimizer.name=adam,sgd",
    )
    astro_lightning(*words, "batch_size=0", folder=tmp_path, expect=2)
    words = (*words[:2], "hydra.sweeper.n_trials=2", *words[3:])
    finished = astro_lightning(*words, "hydra.sweeper.direction=minimize", folder=tmp_path, expect=2)
    assert "study.db is a study to maximize, not to minimize" in finished.stderr
    finished = astro_lightning(*words[:-1], "optimizer.name=adam,adamw", folder=tmp_path, expect=2)
    assert "study.db holds a search over other values" in finished.stderr


def test_choices_of_a_search_are_typed_as_they_were_given():
    (override,) = OverridesParser.create().parse_overrides(["key=null,5,true,'x y',name,[a,'b c'],{d: 0.5}"])
    choices = _distribution(override).choices
    assert choices[:3] == (None, 5, True)
    typed = [f"key={_typed(choice)}" for choice in choices]
    again = [override.value() for override in OverridesParser.create().parse_overrides(typed)]
    assert [getattr(value, "text", value) for value in again[:5]] == [None, 5, True, "x y", "name"]
    assert again[5:] == [["a", "b c"], {"d": 0.5}]


def test_a_sweep_compares_losses_where_the_monitor_only_counts_epochs():
    stages = [
        {"name": "pretrain", "predicts": False, "monitor": "val/loss", "mode": "min"},
        {"name": "fold0", "predicts": True, "monitor": "val/steps", "mode": "max"},
        {"name": "fold1", "predicts": True, "monitor": "val/steps", "mode": "max"},
    ]
    metrics = {"pretrain/best/val/loss": 9, "fold0/best/val/steps": 75, "fold0/val/loss": 0.2, "fold1/val/loss": 0.4}
    assert objective(stages, metrics) == {"objective": pytest.approx(0.3), "monitor": "val/loss", "mode": "min"}
    best = [stage | {"monitor": "val/auc"} for stage in stages]
    metrics = {"fold0/best/val/auc": 0.9, "fold0/val/auc": 0.1, "fold1/best/val/auc": 0.8}
    assert objective(best, metrics) == {"objective": pytest.approx(0.85), "monitor": "val/auc", "mode": "max"}
