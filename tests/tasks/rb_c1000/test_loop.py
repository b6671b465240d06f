import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from command import astro_lightning, run_folder
from sklearn.metrics import average_precision_score

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.methods.labelling.question import LabelsWanted
from astro_lightning.tasks.rb_c1000.batches import RealBogusBatches, quantile_scale
from astro_lightning.tasks.rb_c1000.data import FoldData, LoopData
from astro_lightning.tasks.rb_c1000.handover import pool_draws, write_pseudo
from astro_lightning.tasks.rb_c1000.labelling import ask_expert
from astro_lightning.tasks.rb_c1000.module import LoopModule
from astro_lightning.tasks.rb_c1000.scores import real_bogus_scores
from astro_lightning.tasks.rb_c1000.sets import loop_sets
from astro_lightning.tasks.rb_c1000.simulate import simulate
from astro_lightning.tasks.rb_c1000.stages import loop_stages
from tests.data.surveys.test_stamps import alert, write

DATA = {"split": {"test": 0.2}, "split_seed": 0, "split_by": "group"}


def relabelled(records, labels):
    place = records.flat.column_names.index("label")
    flat = records.flat.set_column(place, "label", pa.array(labels, pa.string()))
    return Records(flat, records.ragged, records.fixed, records.names)


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


def test_baselines_learn_from_labelled_objects_of_the_pool_alone():
    records = Records.from_table(simulate(200, 0, side_px=21))
    labels = [label if i % 2 else None for i, label in enumerate(records.labels)]
    records = relabelled(records, labels)
    for role, n_labelled, n_new in (("random", 40, 10), ("full", 40, 40)):
        made = LoopData(role=role, n_labelled=n_labelled, n_select=10, n_pool=200, data=DATA, cache="/nowhere")
        sets = made.rows(records)
        assert all(labels[row] for row in sets["train"]) and len(sets["pool"]) >= 100
        assert len(sets["train"]) + len(sets["val"]) == pytest.approx(n_labelled + n_new, abs=1)


@pytest.mark.parametrize("given", ["pseudo", "selected"])
def test_the_truth_of_pool_objects_never_enters_training(tmp_path, given):
    records = Records.from_table(simulate(120, 0, side_px=21))
    sizes = {"n_labelled": 40, "n_pool": 60, "data": DATA, "cache": "/nowhere"}
    pool = LoopData(role="als", **sizes).rows(records)["pool"]
    soft = np.random.default_rng(0).random(20).astype(np.float32)
    table = pa.table({"id": records.ids[pool[:20]], "soft": soft, "weight": np.full(20, 0.3, np.float32)})
    pq.write_table(table, tmp_path / "given.parquet")
    other = records.labels
    other[pool] = np.where(other[pool] == "real", "bogus", "real")
    batches = []
    for seen in (records, relabelled(records, other)):
        made = LoopData(role="ssls", **sizes, **{given: str(tmp_path / "given.parquet")})
        train = made.rows(seen)["train"]
        info = made.statistics(seen, train) | {"classes": ["bogus", "real"]}
        batches.append(made.dataset(seen, info, train=True)[(train, 0)])
    first, second = batches
    assert np.isin(pool[:20], first["row"]).all() and len(first["row"]) > 20
    assert all(torch.equal(first[name], second[name]) for name in ("row", "stamp", "target", "soft", "weight"))
    of_pool = np.searchsorted(first["row"], pool[:20])
    np.testing.assert_array_equal(first["target"][of_pool], soft > 0.5)
    np.testing.assert_array_equal(first["soft"][of_pool], soft)


@pytest.mark.parametrize("stamp_features", [False, True])
def test_scales_are_those_of_the_training_objects(stamp_features):
    rng = np.random.default_rng(0)
    records = Records.from_table(simulate(60, 0))
    made = LoopData(
        unit_normal=True, stamp_features=stamp_features, n_labelled=30, n_pool=10, data=DATA, cache="/nowhere"
    )
    train = made.rows(records)["train"]
    columns = {"stamp": np.array(records.fixed["stamp"]), "features": rng.normal(size=(60, 5))}
    size = np.where(np.isin(np.arange(60), train), 1, 1e6)[:, None]
    found = [
        made.statistics(Records(records.flat, {}, fixed), train)
        for fixed in (columns, {name: values * size + (size - 1) for name, values in columns.items()})
    ]
    assert found[0]["quantiles"] and found[0] == found[1]


def test_folds_tear_no_group_apart():
    groups = np.random.default_rng(0).integers(0, 40, 160)
    records = Records.from_table(pa.table({"id": range(160), "label": ["real", "bogus"] * 80, "group": groups}))
    tested = []
    for fold in range(3):
        sets = FoldData(fold=fold, n_folds=3, data=DATA, cache="/nowhere").rows(records)
        parts = [set(groups[sets[part]]) for part in ("train", "val", "test")]
        assert all(parts) and sum(map(len, parts)) == len(set.union(*parts)) == len(set(groups))
        tested += sets["test"].tolist()
    assert sorted(tested) == list(range(160))


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
    tied = real_bogus_scores(
        np.tile([1, 0], 200), np.repeat(np.linspace(1, 0, 200), 2)
    )  # a real and a bogus object each
    assert tied["mdr_at_fpr_1"] == pytest.approx(1 - 2 / 200)


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


def stage(records, seed=0, role="als", **given):
    """An untrained network of a stage, and its data."""
    datamodule = LoopData(role=role, n_labelled=40, n_pool=30, data=DATA, cache="/nowhere", **given)
    datamodule.records, datamodule.splits = records, datamodule.rows(records)
    torch.manual_seed(seed)
    network = "astro_lightning.tasks.rb_c1000.networks.StampNetwork"
    model = {"_target_": network, "stem": "small", "width": 4, "dropout": 0.5}
    module = LoopModule(model=model, optimizer={}, info=datamodule.info(), pseudo="committee")
    module.configure_model()
    return module.eval(), datamodule


def test_labels_of_a_committee_are_the_mean_of_its_members_and_none_of_the_experts(tmp_path):
    records = Records.from_table(simulate(120, 0, side_px=21))
    votes, given = [], None
    for seed in range(3):
        module, datamodule = stage(records, seed, committee=given)
        votes.append(pool_draws(module, datamodule, 1)[0, :, 1])
        given = str(write_pseudo(module, datamodule, tmp_path / f"{seed}.parquet"))
    table = pq.read_table(given)
    assert table["id"].to_pylist() == records.ids[datamodule.splits["pool"]].tolist()
    assert np.ptp(votes, axis=0).max() > 1e-4
    np.testing.assert_allclose(table["soft"], np.mean(votes, axis=0), rtol=1e-5)
    _, believing = stage(records, role="ssls", pseudo=given)
    assert len(believing.splits["train"]) == len(datamodule.splits["train"]) + len(table)
    believing.train_dataloader()
    assert (
        believing.n_labels() == datamodule.n_labels() == len(datamodule.splits["train"]) + len(datamodule.splits["val"])
    )


def test_dropout_is_on_for_several_draws_and_off_again_after_them():
    module, datamodule = stage(Records.from_table(simulate(120, 0, side_px=21)))
    once, several = pool_draws(module, datamodule, 1), pool_draws(module, datamodule, 3)
    assert not np.allclose(several[0], several[1]) and not np.allclose(several[0], once[0])
    np.testing.assert_array_equal(pool_draws(module, datamodule, 1), once)


def test_stamps_are_turned_in_training_alone_and_their_images_keep_their_places():
    records, rows = Records.from_table(simulate(16, 0, side_px=21)), np.arange(16)
    info = {"classes": ["bogus", "real"], "stamp_features": False, "preprocess": "robust", "side_px": None}
    tested, trained = (RealBogusBatches(records, info, train=train) for train in (False, True))
    still, turned = tested[(rows, 1)]["stamp"], trained[(rows, 1)]["stamp"]
    assert torch.equal(still, tested[(rows, 2)]["stamp"]) and not torch.equal(turned, trained[(rows, 2)]["stamp"])
    assert not torch.equal(turned, still)
    assert torch.equal(turned.flatten(2).sort(2).values, still.flatten(2).sort(2).values)


@pytest.mark.slow
def test_the_whole_loop_waits_for_a_person_goes_on_and_scores_alerts(tmp_path):
    words = [
        "experiment=rb_c1000_quick", "trainer=cpu", "callbacks=quiet", "report=false", "data.simulation.n_objects=500",
        "task.sets.n_labelled=100", "task.sets.n_pool=200", "task.loop.n_select=20", "task.loop.threshold=0.6",
        "task.loop.oracle=person", "task.learner.network.trainer.max_epochs=2", "task.learner.network.model.backbone=vgg6",
    ]  # fmt: skip
    stopped = astro_lightning(*words, folder=tmp_path, expect=2)
    folder = run_folder(tmp_path, "rb_c1000")
    assert "20 of 20 objects wait" in stopped.stderr and "astro-lightning label" in stopped.stderr
    ids = pq.read_table(folder / "to_label" / "candidates.parquet")["id"].to_pylist()
    names = ["real", *["bogus"] * 18, "unsure"]
    answers = [f"{i},{name}\n" for i, name in zip(ids, names, strict=True)]
    (folder / "to_label" / "labels.csv").write_text("id,label\n" + "".join(answers))
    astro_lightning(f"resume={folder}", folder=tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"test/its_sum", "test/als_sum", "test/ssls1_sum", "test/random_sum", "test/full_sum", "test/sum"} <= set(
        metrics
    )
    n = {name: metrics[f"test/{name}_n_train"] for name in ("its", "als", "random", "full")}
    assert n["full"] > n["random"] == n["its"] + 20 and n["als"] == n["its"] + 19
    data = json.loads((folder / "provenance.json").read_text())["data"]
    assert sum(data["counts"]) == data["splits"]["train"] >= n["als"]
    selected = pq.read_table(folder / "checkpoints" / "its" / "selected.parquet")
    pseudo = pq.read_table(folder / "checkpoints" / "als" / "pseudo.parquet")
    assert {"label_efficiency.png", "hardest_cutouts.png", "mistaken_cutouts.png"} <= {
        path.name for path in (folder / "plots").iterdir()
    }
    assert selected["id"].to_pylist() == ids[:19] and not set(ids[:19]) & set(pseudo["id"].to_pylist())
    write(tmp_path / "new.avro", alert(11), alert(12))
    words = ("mode=predict", "task=rb_c1000", f"ckpt={folder}", f"out={tmp_path / 'scores.parquet'}", "trainer=cpu")
    astro_lightning(*words, f"data.path={tmp_path / 'new.avro'}", folder=tmp_path)
    assert pq.read_table(tmp_path / "scores.parquet").num_rows == 2


def test_a_person_is_asked_and_answers(tmp_path):
    records = Records.from_table(simulate(12, 0, side_px=21))
    rows, labels = np.array([4, 2, 9]), tmp_path / "to_label" / "labels.csv"
    with pytest.raises(LabelsWanted, match="3 of 3"):
        ask_expert(records, rows, np.array([0.5, 0.4, 0.6]), tmp_path)
    page = (tmp_path / "to_label" / "index.html").read_text()
    assert page.count("iVBOR") == 9 and "model says 0.400" in page
    labels.write_text("id,label\n4,real\n2,bogus\n")
    with pytest.raises(LabelsWanted, match="1 of 3"):
        ask_expert(records, rows, np.zeros(3), tmp_path)
    labels.write_text("id,label\n4,real\n2,bogus\n9,unsure\n")
    # A resumed run that would choose others keeps to those that were labelled; what nobody is sure of stays in the pool.
    sure, is_real = ask_expert(records, rows[::-1], np.zeros(3), tmp_path)
    assert sure.tolist() == [1, 2] and is_real.tolist() == [False, True]
    labels.write_text("id,label\n4,unsure\n2,unsure\n9,unsure\n")
    with pytest.raises(BadInput, match="not one object"):
        ask_expert(records, rows, np.zeros(3), tmp_path)
