import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records, write_records
from astro_lightning.tasks.spectra.batches import SpectraBatches
from astro_lightning.tasks.spectra.data import SpectraData
from astro_lightning.tasks.spectra.module import SpectraModule
from astro_lightning.tasks.spectra.network import MultiKernel, SpectraResNet
from astro_lightning.tasks.spectra.simulate import simulate
from astro_lightning.tasks.spectra.stages import spectra_stages
from tests.command import astro_lightning

CHANNELS = {
    "form": "channels",
    "n_bins": 1300,
    "log": True,
    "normalisation": "unit",
    "blackbody_channel": False,
    "smooth": False,
    "clip_sigma": None,
    "features": [],
}
CLASSES = ["STAR", "GALAXY", "QSO"]


@pytest.fixture(scope="module")
def table():
    made = simulate(120, 0)
    survey = np.array(["LAMOST", "SDSS", "BOSS"])[np.arange(120) % 3]
    group = np.arange(120) // 2
    made = made.set_column(made.column_names.index("survey"), "survey", pa.array(survey)).append_column(
        "group", pa.array(group)
    )
    warned = np.where(np.arange(120) % 10 == 0, 4, 0).astype(np.int32)
    return made.set_column(made.column_names.index("zwarning"), "zwarning", pa.array(warned))


@pytest.fixture(scope="module")
def records(table):
    return Records.from_table(table)


def module_of_data(**settings):
    data = {
        "name": "spectra",
        "split": {"train": 0.7, "val": 0.1, "calibration": 0.0, "test": 0.2},
        "split_seed": 0,
        "classes": None,
    }
    return SpectraData(inputs=CHANNELS, data=data, cache="/nowhere", **settings)


# ---- who trains and who is tested


def test_folds_test_each_object_once_and_never_share_one(records):
    tested = []
    for fold in range(3):
        parts = module_of_data(fold=fold, n_folds=3).rows(records)
        tested.append(parts["test"])
        learnt = set(records.groups[np.concatenate([parts["train"], parts["val"]])])
        assert not learnt & set(records.groups[parts["test"]])
        assert not set(records.groups[parts["train"]]) & set(records.groups[parts["val"]])
    assert sorted(np.concatenate(tested)) == list(range(120))


def test_a_survey_left_out_is_tested_and_never_learnt(records):
    survey = np.array(records.flat["survey"].to_pylist())
    parts = module_of_data(leave_out="SDSS").rows(records)
    assert set(survey[parts["test"]]) == {"SDSS"}
    assert "SDSS" not in set(survey[parts["train"]]) | set(survey[parts["val"]])
    # nor is an object that other surveys saw too
    assert not set(records.groups[parts["test"]]) & set(records.groups[[*parts["train"], *parts["val"]]])
    with pytest.raises(BadInput, match="LAMOST"):
        module_of_data(leave_out="DESI").rows(records)


def test_spectra_without_a_known_warning_or_group_are_learnt_each_as_an_object_of_its_own(records):
    warned = pa.array([None if i % 3 else 0 for i in range(len(records))], pa.int32())
    groups = pa.array([None if i % 3 else i for i in range(len(records))])
    flat = (
        records.flat.drop_columns(["group", "zwarning"])
        .append_column("zwarning", warned)
        .append_column("group", groups)
    )
    known = Records(flat, records.ragged, records.fixed, records.names)
    assert len(set(known.groups)) == len(records)
    parts = module_of_data(fold=0).rows(known)
    assert sorted(np.concatenate([parts["train"], parts["val"], parts["test"]])) == list(range(len(records)))


def test_the_twin_teaches_classes_by_name_and_never_an_unknown_one(records):
    twin = {"share": 0.75, "templates": None, "fractions": [0, 0, 1, 0], "min_snr": 2.0, "batch_size": 8}
    info = {"inputs": CHANNELS, "twin": twin}
    for classes, number in ((["QSO", "GALAXY", "STAR"], 0), (["GALAXY", "STAR"], 2)):
        batch = SpectraBatches(records, info | {"classes": classes}, train=True)[(np.arange(10), 0)]
        assert (batch["target"][10:] == number).all()
    made = SpectraData(
        inputs=CHANNELS, data={"unknown": ["QSO"]}, cache="/nowhere", twin=twin | {"fractions": [0.3, 0.3, 0.3, 0.1]}
    )
    assert made.twin["fractions"] == [0.3, 0.3, 0.0, 0.1]


def test_unreliable_labels_are_tested_but_never_learnt(records):
    parts = module_of_data(fold=0).rows(records)
    known = np.isin(records.labels, CLASSES)
    warned = (records.column("zwarning") != 0) & known
    assert warned[parts["test"]].any()
    assert not warned[np.concatenate([parts["train"], parts["val"]])].any()


@pytest.mark.parametrize("by", ["class", "class and survey"])
def test_training_spectra_are_drawn_so_that_none_rules(records, by):
    survey = np.array(records.flat["survey"].to_pylist())
    cell = records.labels.astype(str) if by == "class" else np.char.add(records.labels.astype(str), survey.astype(str))
    made = module_of_data(**({"balanced": True, "survey_power": 0.0} if by == "class" else {"survey_power": 1.0}))
    made.records, made.splits = records, made.rows(records)
    sampler, drawn = made.train_dataloader().sampler, []
    for epoch in range(60):
        sampler.set_epoch(epoch)
        drawn += [row for rows, _ in sampler for row in rows]
    there, found = (np.unique(cell[rows], return_counts=True)[1] for rows in (made.splits["train"], drawn))
    assert there.max() > 2 * there.min() and found.max() < 1.4 * found.min()


# ---- batches


def test_a_batch_follows_its_seed_alone(records):
    info = {"classes": CLASSES, "inputs": CHANNELS, "augment": {"tilt": 1.0}}
    dataset = SpectraBatches(records, info, train=True)
    rows = np.arange(20)
    first, again, other = dataset[(rows, 1)], dataset[(rows, 1)], dataset[(rows, 2)]
    assert torch.equal(first["inputs"], again["inputs"])
    assert not torch.equal(first["inputs"], other["inputs"])
    assert first["target"].max() == 3  # SKY and UNKNOWN follow the known classes


def test_twin_makes_up_its_share_of_a_training_batch_and_none_of_a_test_batch(records):
    twin = {"share": 0.75, "templates": None, "fractions": [1, 0, 0, 0], "min_snr": 2.0, "batch_size": 8}
    info = {"classes": CLASSES, "inputs": CHANNELS, "twin": twin}
    batch = SpectraBatches(records, info, train=True)[(np.arange(10), 0)]
    assert len(batch["target"]) == len(batch["row"]) == 40
    assert (batch["target"][10:] == 0).all()
    assert len(SpectraBatches(records, info, train=False)[(np.arange(10), 0)]["target"]) == 10
    alone = SpectraBatches(records, info | {"twin": twin | {"share": 1.0}}, train=True)[(np.arange(10), 0)]
    assert len(alone["target"]) == 8


@pytest.mark.parametrize(
    ("chosen", "channels", "features"),
    [
        ({"form": "published"}, 2, 0),
        (
            {
                "form": "published",
                "blackbody_channel": True,
                "normalisation": "zscore",
                "smooth": True,
                "clip_sigma": 6.0,
            },
            3,
            0,
        ),
        ({"features": ["temperature", "r2", "planck_temperature", "mean", "std"]}, 4, 5),
    ],
)
def test_published_preprocessing_can_be_switched_on(records, chosen, channels, features):
    info = {"classes": CLASSES, "inputs": CHANNELS | chosen}
    batch = SpectraBatches(records, info, train=False)[(np.arange(6), 0)]
    assert batch["inputs"].shape[1] == channels
    assert torch.isfinite(batch["inputs"]).all()
    assert ("features" in batch) == bool(features)
    for network in (SpectraResNet(3, channels, features, width=4), MultiKernel(3, channels, features, width=2)):
        assert network(batch).shape == (6, 4)


def test_only_training_batches_are_changed(records):
    shaken = {"augment": {"tilt": 1.0}, "white_noise": {"strength": 0.5, "share": dict.fromkeys(range(4), 1.0)}}
    info, key = {"classes": CLASSES, "inputs": CHANNELS}, (np.arange(10), 0)
    plain = SpectraBatches(records, info, train=False)[key]["inputs"]
    assert torch.equal(SpectraBatches(records, info | shaken, train=False)[key]["inputs"], plain)
    for name, value in shaken.items():
        assert not torch.equal(SpectraBatches(records, info | {name: value}, train=True)[key]["inputs"], plain)


# ---- stages and scores


def test_stages_are_twin_then_folds_or_surveys():
    cfg = {"task": {"classify": {"datamodule": {}, "module": {}}, "pretrain": {"datamodule": {}}}}
    stages = spectra_stages(cfg, pretrain=True, folds=2)
    assert list(stages) == ["twin", "fold0", "fold1"]
    assert stages["fold1"]["datamodule"] == {"fold": 1, "n_folds": 2}
    assert stages["fold1"]["takes"] == {"module.backbone": "twin/checkpoint"}
    assert not stages["twin"]["predicts"]
    assert list(spectra_stages(cfg, leave_out=["SDSS"])) == ["without_SDSS"]
    assert list(spectra_stages(cfg)) == ["classify"]
    members = spectra_stages({"task": {"classify": {"datamodule": {}, "module": {}}}}, folds=2, members=2)
    assert list(members) == ["fold0_member0", "fold0_member1", "fold1_member0", "fold1_member1"]
    assert members["fold1_member1"]["datamodule"] == {"fold": 1, "n_folds": 2, "member": 1}
    assert members["fold1_member1"]["module"] == {"member": 1}


def test_members_of_an_ensemble_start_from_other_weights_and_draw_other_batches(records):
    info = {"classes": CLASSES, "counts": [1, 1, 1], "inputs": CHANNELS, "twin": None}
    model = {"_target_": "astro_lightning.tasks.spectra.network.SpectraResNet", "width": 4}
    weights = []
    for member in (0, 1, 1):
        torch.manual_seed(0)
        module = SpectraModule(model=model, optimizer={}, info=dict(info), member=member)
        module.configure_model()
        weights.append(module.network.resnet.conv1.weight)
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[1])
    assert module_of_data(member=1).seed != module_of_data().seed


def test_members_of_a_fold_test_the_same_spectra_and_together_learn_from_all_others(records):
    parts = [module_of_data(fold=0, n_folds=3, member=k).rows(records) for k in range(3)]
    assert all(np.array_equal(part["test"], parts[0]["test"]) for part in parts)
    assert not np.array_equal(parts[0]["val"], parts[1]["val"])
    learnt = np.union1d(parts[0]["train"], parts[0]["val"])
    assert len(np.setdiff1d(learnt, np.concatenate([part["train"] for part in parts]))) < len(parts[0]["val"]) / 2


# ---- the command


@pytest.mark.slow
def test_train_then_score_a_table_and_a_folder_of_fits(tmp_path, table):
    tiny = (
        "task=spectra",
        "model.width=4",
        "data.simulation.n_objects=160",
        "trainer=cpu",
        "trainer.max_epochs=2",
        "callbacks=quiet",
    )
    astro_lightning(*tiny, folder=tmp_path)
    (run,) = (tmp_path / "outputs" / "spectra").iterdir()
    assert "macro_f1" in " ".join(json.loads((run / "metrics.json").read_text()))
    assert (run / "plots" / "by_survey.png").exists()
    pq.write_table(table.drop(["label", "z", "snr", "zwarning", "survey", "group"]), tmp_path / "new.parquet")
    out = tmp_path / "scores.parquet"
    words = ("task=spectra", "mode=predict", f"ckpt={run}", "trainer=cpu", f"out={out}")
    astro_lightning(*words, f"data.path={tmp_path / 'new.parquet'}", folder=tmp_path)
    scores = pq.read_table(out)
    assert scores["id"].to_pylist() == table["id"].to_pylist()
    total = sum(scores[f"prob_{name}"].to_numpy() for name in CLASSES)
    np.testing.assert_allclose(total, 1, atol=1e-4)
    assert pc.min(scores["p_known"]).as_py() > 0
    assert scores["reject"].type == pa.bool_()


@pytest.mark.slow
def test_trees_show_their_mistakes_as_the_network_does(tmp_path):
    tiny = (
        "task=spectra_xgb",
        "data.simulation.n_objects=160",
        "trainer=cpu",
        "trainer.max_epochs=1",
        "callbacks=quiet",
    )
    astro_lightning(*tiny, "task.trees.rounds_per_epoch=1", folder=tmp_path)
    (run,) = (tmp_path / "outputs" / "spectra_xgb").iterdir()
    assert {path.stem for path in (run / "plots").glob("*.png")} >= {"by_survey", "mistakes_with_lines"}
    assert "Mistakes with lines" in (run / "report.html").read_text()
    assert "darker" not in (run / "plots" / "mistakes_with_lines.txt").read_text()  # trees look nowhere
    said = astro_lightning(*tiny, "task.inputs.form=published", folder=tmp_path, expect=2).stderr
    assert "the trees read task.inputs.form=channels" in said


def test_records_of_the_twin_survive_the_cache(tmp_path, table):
    opened = Records.open(write_records([table], tmp_path / "r"))
    np.testing.assert_array_equal(opened.fixed["flux"], np.stack(table["flux"].to_numpy(zero_copy_only=False)))


def test_components_and_trees_come_back_from_a_state_dict():
    import xgboost as xgb

    from astro_lightning.tasks.spectra.trees import PcaTrees

    rng = np.random.default_rng(0)
    flat = torch.from_numpy(rng.normal(size=(200, 50)).astype(np.float32))
    target = (flat[:, 0] > 0).long() + (flat[:, 1] > 1).long()
    network = PcaTrees(3, 50, 50, {"max_depth": 3})
    network.fit_components(flat)
    network.grow(xgb.QuantileDMatrix(network.project(flat).numpy(), target.numpy()), 30)
    again = PcaTrees(3, 50, 50, {"max_depth": 3})
    again.load_state_dict(network.state_dict())
    assert (network(flat).argmax(1) == target).float().mean() > 0.9
    assert torch.allclose(again(flat), network(flat))
    with pytest.raises(BadInput, match="49 spectra to learn from have no 50 components"):
        again.fit_components(flat[:49])
