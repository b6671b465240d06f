import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.tasks.rb_c1000.data import loop_sets, quantile_scale
from astro_lightning.tasks.rb_c1000.labelling import LabelsWanted, ask
from astro_lightning.tasks.rb_c1000.scores import real_bogus_scores
from astro_lightning.tasks.rb_c1000.simulate import simulate
from astro_lightning.tasks.rb_c1000.stages import loop_stages


def test_sets_are_disjoint_and_groups_stay_whole():
    groups = np.random.default_rng(0).integers(0, 500, 1500)
    sets = loop_sets(groups, 0.2, 300, 600, 0.4, 0)
    rows = np.concatenate(list(sets.values()))
    assert len(rows) == len(set(rows.tolist()))
    labelled = set(groups[np.concatenate([sets["train"], sets["val"]])])
    assert not labelled & set(groups[sets["pool"]]) and not set(groups[sets["train"]]) & set(groups[sets["val"]])
    assert not set(groups[sets["test"]]) & (labelled | set(groups[sets["pool"]]))
    assert len(sets["val"]) == 120
    with pytest.raises(BadInput):
        loop_sets(groups, 0.2, 1400, 600, 0.4, 0)


def test_scores_of_a_hand_made_case():
    truth, p = np.array([1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.3, 0.7, 0.1])
    scores = real_bogus_scores(truth, p, (2,))
    assert scores["precision"] == pytest.approx(2 / 3) and scores["recall_at_2"] == pytest.approx(2 / 3)
    assert scores["sum"] == pytest.approx(
        100 * sum(scores[k] for k in ("precision", "accuracy", "recall", "f1", "mcc", "ap"))
    )
    assert scores["ap"] == pytest.approx(average_precision_score(truth, p)) and scores["ap_published"] == pytest.approx(
        1.0
    )
    perfect = real_bogus_scores(truth, truth.astype(float))
    assert perfect["sum"] == pytest.approx(600) and perfect["mdr_at_fpr_1"] == 0


def test_quantile_scale_is_monotone_and_unit_normal():
    values = np.random.default_rng(0).lognormal(size=(2000, 2))
    values[:, 1] = np.round(values[:, 1])
    values[3, 0] = np.nan
    info = quantile_scale(values)
    assert (np.diff(info["quantiles"], axis=1) > 0).all() and info["may_miss"] == [0]
    scaled = np.interp(np.delete(values[:, 0], 3), info["quantiles"][0], info["normal"])
    assert abs(scaled.mean()) < 0.05 and abs(scaled.std() - 1) < 0.05


def test_stages_hand_labels_and_scores_on():
    block = {"datamodule": {}, "module": {}}
    task = {
        "main": "a",
        "peers": ["b"],
        "rounds": ["b", "a"],
        "baselines": True,
        "sets": {},
        "loop": {"n_select": 5},
        "learner": {"a": block, "b": block},
    }
    stages = loop_stages({"task": task})
    assert list(stages) == ["its", "random", "full", "als", "peer1", "ssls1", "ssls2"]
    assert stages["ssls2"]["takes"]["datamodule.pseudo"] == "ssls1/pseudo"
    assert "datamodule.pseudo" not in stages["peer1"]["takes"]
    with pytest.raises(BadInput):
        loop_stages({"task": {**task, "rounds": ["c"]}})


@pytest.mark.slow
def test_the_whole_loop_runs_and_scores_a_table(tmp_path):
    words = [
        sys.executable, "-m", "astro_lightning", "experiment=rb_c1000_quick", "trainer=cpu", "callbacks=quiet", "report=false",
        f"paths.outputs={tmp_path}/out", f"paths.cache={tmp_path}/cache", "data.simulation.n_objects=500",
        "task.sets.n_labelled=100", "task.sets.n_pool=200",
        "task.loop.n_select=20", "task.loop.threshold=0.6", "task.learner.network.trainer.max_epochs=2",
        "task.learner.network.model.backbone=vgg6",
    ]  # fmt: skip
    subprocess.run(words, check=True, cwd=Path(__file__).parents[3])
    folder = next((tmp_path / "out" / "rb_c1000").iterdir())
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"test/its_sum", "test/als_sum", "test/ssls1_sum", "test/random_sum", "test/full_sum", "test/sum"} <= set(
        metrics
    )
    assert (
        metrics["test/full_n_train"]
        > metrics["test/als_n_train"]
        == metrics["test/random_n_train"]
        == metrics["test/its_n_train"] + 20
    )
    selected = pq.read_table(folder / "checkpoints" / "its" / "selected.parquet")
    pseudo = pq.read_table(folder / "checkpoints" / "als" / "pseudo.parquet")
    assert len(selected) == 20 and not set(selected["id"].to_pylist()) & set(pseudo["id"].to_pylist())


def test_a_person_is_asked_and_answers(tmp_path):
    records = Records.from_table(simulate(12, 0, side_px=21))
    rows, path = np.array([4, 2, 9]), tmp_path / "selected.parquet"
    with pytest.raises(LabelsWanted, match="3 of 3"):
        ask(records, rows, np.array([0.5, 0.4, 0.6]), tmp_path, path)
    page = (tmp_path / "to_label" / "index.html").read_text()
    assert page.count("iVBOR") == 9 and "http" not in page.replace("http-equiv", "")
    (tmp_path / "to_label" / "labels.csv").write_text("id,label\n4,real\n2,bogus\n")
    with pytest.raises(LabelsWanted, match="1 of 3"):
        ask(records, rows, np.zeros(3), tmp_path, path)
    (tmp_path / "to_label" / "labels.csv").write_text("id,label\n4,real\n2,bogus\n9,real\n")
    # A resumed run that would choose others keeps to those that were labelled.
    ask(records, rows[::-1], np.zeros(3), tmp_path, path)
    assert pq.read_table(path).select(["id", "soft"]).to_pydict() == {"id": [4, 2, 9], "soft": [1, 0, 1]}
    (tmp_path / "to_label" / "labels.csv").write_text("id,label\n4,maybe\n")
    with pytest.raises(BadInput, match="maybe"):
        ask(records, rows, np.zeros(3), tmp_path, path)


@pytest.mark.slow
def test_the_page_takes_keys_in_a_browser_and_saves_what_the_run_reads(tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium to open the labelling page")
    records = Records.from_table(simulate(12, 0, side_px=21))
    with pytest.raises(LabelsWanted):
        ask(records, np.array([4, 2, 9]), np.array([0.5, 0.4, 0.6]), tmp_path, tmp_path / "selected.parquet")
    typed = """<script>
    URL.createObjectURL = blob => { blob.text().then(t => { const p = document.createElement("pre"); p.id = "saved";
      p.textContent = t; document.body.append(p) }); return "#" };
    for (const key of ["r", "B", "ArrowLeft", "r", "b"])
      document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    document.getElementById("save").click();
    </script></html>"""
    page = tmp_path / "typed.html"
    page.write_text((tmp_path / "to_label" / "index.html").read_text().replace("</html>", typed))
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    dom = subprocess.run(
        [*words, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()], capture_output=True, text=True, timeout=120
    ).stdout
    assert "3 labelled" in dom and dom.count("data:image/png;base64") >= 3
    (tmp_path / "to_label" / "labels.csv").write_text(dom.split('id="saved">')[1].split("</pre>")[0])
    # The second answer was taken back and given anew.
    table = pq.read_table(ask(records, np.array([4, 2, 9]), np.zeros(3), tmp_path, tmp_path / "selected.parquet"))
    assert table.select(["id", "soft"]).to_pydict() == {"id": [4, 2, 9], "soft": [1, 1, 0]}
