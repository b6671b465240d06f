"""The page of Weights & Biases holds what the report holds; made without an account."""

import json

import pytest
from fake_run import make_run, predictions

from astro_lightning.__main__ import main
from astro_lightning.data.errors import BadInput
from astro_lightning.report.wandb_page import save_page


@pytest.fixture
def run(tmp_path):
    metrics = {"test/accuracy": 0.9, "test/weighted_log_loss": 0.5, "test/f1_Ia": 0.8, "test/n": 200.0}
    return make_run(tmp_path / "run", predictions(["AGN", "Ia", "TDE"], 200), metrics)


def test_the_panels_of_the_report_are_on_the_page(run, capsys):
    main(["wandb", str(run)])
    path = run / "wandb_page.json"
    assert capsys.readouterr().out.strip() == str(path)
    spec = json.loads(path.read_text())
    sections = {s["name"]: s["panels"] for s in spec["spec"]["section"]["panelBankConfig"]["sections"]}
    metrics = [m for panel in sections["Test"] for m in panel["config"]["metrics"]]
    assert metrics == ["test/accuracy", "test/weighted_log_loss"]
    shown = {key for panel in sections["Pictures"] for key in panel["config"]["mediaKeys"]}
    assert shown == {f"plots/{png.stem}" for png in (run / "plots").glob("*.png")}
    assert {"Learning curves: pretrain", "Learning curves: finetune"} < set(sections)
    logged = [m for panel in sections["Learning curves: finetune"] for m in panel["config"]["metrics"]]
    assert "finetune/val/loss" in logged and "finetune/train/loss" in logged


def test_a_project_is_named_by_both_its_parts(run):
    with pytest.raises(BadInput, match="ENTITY/PROJECT"):
        save_page(run, "project")
