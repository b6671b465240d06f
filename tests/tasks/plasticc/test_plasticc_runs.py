"""PLAsTiCC through the command line: the forms of tokens and losses, and what must never pass in silence."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from command import TINY, astro_lightning, run_folder

from astro_lightning.core.build import build
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.tasks.plasticc.data import PretrainData
from astro_lightning.tasks.plasticc.module import load_backbone
from astro_lightning.tasks.plasticc.simulate import simulate

BERT = (
    "model=plasticc_bert",
    "model.n_layers=1",
    "model.n_heads=2",
    "model.d_model=16",
    "model.head_dim=8",
    "task.tokenizer.kind=seed",
)
COMMON = ("callbacks=quiet", "data.simulation.n_objects=160", "trainer=cpu", "trainer.max_epochs=1", "report=false")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        (*BERT, "task.tokenizer.batching=one_band"),
        (
            *BERT,
            "task.tokenizer.batching=pair",
            "model.segments=true",
            "task.stages.pretrain.module.same_source=two_way",
            "task=plasticc_pretrain",
        ),
        (
            *TINY,
            "task.stages.pretrain.module.same_source=two_way",
            "task.stages.pretrain.module.flux_loss=gaussian",
            "task.stages.finetune.module.frozen=true",
        ),
        (
            *TINY,
            "task.stages.pretrain.module.same_source_weight=0",
            "task.stages.pretrain.datamodule.pretrain.views=false",
            "model.wavelength=true",
        ),
    ],
    ids=["seed one band", "seed pairs", "two-way, gaussian, frozen", "masks alone"],
)
def test_each_form_runs_from_pretraining_to_its_metrics(tmp_path, words):
    task = "plasticc_pretrain" if "task=plasticc_pretrain" in words else "plasticc"
    astro_lightning(*words, *COMMON, folder=tmp_path)
    metrics = json.loads((run_folder(tmp_path, task) / "metrics.json").read_text())
    assert np.isfinite(metrics["pretrain/val/masked_loss"])
    assert (task == "plasticc_pretrain") or 0 <= metrics["test/accuracy"] <= 1


@pytest.mark.slow
def test_fast_dev_run_goes_through_both_stages_and_keeps_nothing(tmp_path):
    astro_lightning("task=plasticc", *TINY, "debug=fast_dev_run", folder=tmp_path)
    assert not list(tmp_path.glob("outputs/**/*.ckpt"))


@pytest.mark.slow
def test_overfit_learns_three_batches_by_heart(tmp_path):
    words = (
        "model.d_model=32",
        "model.n_heads=2",
        "model.n_layers=1",
        "model.dropout=0",
        "batch_size=8",
        "optimizer.lr=5e-3",
    )
    more = (
        "callbacks=quiet",
        "trainer=cpu",
        "trainer.max_epochs=40",
        "data.simulation.n_objects=160",
        "optimizer.schedule=constant",
    )
    quiet = (
        "task.augment=null",
        "task.tokenizer.metadata_dropout=0",
        "task.tokenizer.shift_days=0",
        "callbacks.ema.decay=0",
    )
    astro_lightning("task=plasticc_finetune", *words, *more, *quiet, "debug=overfit", "report=false", folder=tmp_path)
    metrics = json.loads((run_folder(tmp_path, "plasticc_finetune") / "metrics.json").read_text())
    assert metrics["finetune/train/accuracy"] > 0.9


def test_a_missing_backbone_is_an_error_not_a_random_start(tmp_path):
    said = astro_lightning(
        "task=plasticc_finetune",
        *TINY,
        f"task.stages.finetune.module.backbone={tmp_path / 'absent.ckpt'}",
        folder=tmp_path,
        expect=2,
    ).stderr
    assert "absent.ckpt does not exist" in said.splitlines()[-1]


def test_the_backbone_of_another_network_is_an_error(tmp_path):
    wrong = torch.nn.Linear(2, 3)
    torch.save(
        {"astro_lightning": {}, "hyper_parameters": {}, "state_dict": {"network.backbone.weight": wrong.weight}},
        tmp_path / "other.ckpt",
    )
    with pytest.raises(BadInput, match="another network"):
        load_backbone(torch.nn.Linear(4, 3), tmp_path / "other.ckpt")


def test_the_weights_of_the_backbone_are_really_loaded(tmp_path):
    source, target = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    state = {f"network.backbone.{name}": value for name, value in source.state_dict().items()}
    torch.save(
        {"astro_lightning": {}, "hyper_parameters": {}, "state_dict": state | {"network.contrast.x": torch.zeros(1)}},
        tmp_path / "b.ckpt",
    )
    load_backbone(target, tmp_path / "b.ckpt")
    assert torch.equal(source.weight, target.weight)


DATA = {
    "name": "simulated", "split": {"train": 0.6, "val": 0.1, "calibration": 0.1, "test": 0.2}, "split_seed": 3, "split_by": "group",
    "classes": None, "simulation": {"n_objects": 400, "seed": 0}, "memory_gib": 1,
}  # fmt: skip
SIMULATE = {"_target_": "astro_lightning.tasks.plasticc.simulate.simulate", "unlabelled_fraction": 0.5}
TOKENS = {"kind": "continuous", "metadata": ["photoz"], "shift_days": 20.0}
MASKS = {"views": True, "fraction": [0.4, 0.6], "block_length": 8.0, "band_probability": 0.5}


@pytest.fixture
def shared_arguments(tmp_path):
    return {"data": DATA, "cache": str(tmp_path), "simulate": SIMULATE, "tokenizer": TOKENS}


def data_module(kind, arguments, **more) -> RecordsData:
    return build({"_target_": f"astro_lightning.tasks.plasticc.data.{kind}", **more}, **arguments)


def test_pretraining_never_sees_an_object_that_a_label_based_test_uses(shared_arguments):
    labelled, everything = (
        data_module("CurvesData", shared_arguments),
        data_module("PretrainData", shared_arguments, pretrain=MASKS),
    )
    labelled.setup(), everything.setup()
    held_out = {int(labelled.records.ids[row]) for part in ("test", "calibration") for row in labelled.splits[part]}
    seen = {int(everything.records.ids[row]) for part in ("train", "val") for row in everything.splits[part]}
    assert len(held_out) > 40 and len(seen) > 250
    assert not held_out & seen
    assert not {int(labelled.records.ids[row]) for row in labelled.splits["val"]} & {
        int(everything.records.ids[row]) for row in everything.splits["train"]
    }


def test_masks_are_drawn_anew_each_epoch_and_kept_for_validation(shared_arguments):
    data = data_module("PretrainData", shared_arguments, pretrain=MASKS)
    loader = data.train_dataloader()
    first, again = next(iter(loader)), next(iter(loader))
    loader.sampler.set_epoch(1)
    rows = torch.as_tensor(first["row"])
    assert torch.equal(first["masked"], again["masked"])
    dataset = loader.dataset
    assert not torch.equal(dataset[(rows.numpy(), 1)]["masked"], dataset[(rows.numpy(), 2)]["masked"])
    validation = [next(iter(data.val_dataloader()))["masked"] for _ in range(2)]
    assert torch.equal(*validation)


def test_statistics_come_from_the_training_rows_alone(shared_arguments):
    data = data_module("CurvesData", shared_arguments)
    data.setup()
    info = data.info()
    errors = [data.records.ragged["flux_err"].take(data.splits[part])[0] for part in ("train", "test")]
    assert info["flux_scale"] == pytest.approx(float(np.median(errors[0])))
    assert info["flux_scale"] != pytest.approx(float(np.median(np.concatenate(errors))), rel=1e-9)
    assert sum(info["counts"]) == info["splits"]["train"]


def test_neither_id_nor_absolute_time_nor_order_reaches_the_network(shared_arguments):
    data = data_module("CurvesData", shared_arguments)
    table = simulate(n_objects=4, seed=8)
    later = table.set_column(
        table.column_names.index("mjd"), "mjd", pa.array([[t + 500.0 for t in mjd] for mjd in table["mjd"].to_pylist()])
    ).set_column(0, "id", pa.array([9, 8, 7, 6]))
    batches = [PretrainData.dataset(Records.from_table(t), data.info())[(np.arange(4), 0)] for t in (table, later)]
    for name in ("features", "band", "metadata"):
        assert torch.equal(batches[0][name], batches[1][name])
    assert torch.allclose(batches[0]["time"], batches[1]["time"], atol=1e-3)


@pytest.mark.parametrize("form", ["one_band", "all_bands"])
def test_seed_tokens_of_an_object_do_not_depend_on_its_place_in_the_file(shared_arguments, form):
    data = data_module("CurvesData", shared_arguments | {"tokenizer": {"kind": "seed", "batching": form}})
    info, records = data.info(), Records.from_table(simulate(n_objects=12, seed=8))
    dataset = data.dataset(records, info)
    forth, back = dataset[(np.arange(12), 1)], dataset[(np.arange(12)[::-1].copy(), 2)]
    for name in ("tokens", "band", "day", "mask"):
        assert torch.equal(forth[name], back[name].flip(0))


def test_one_class_is_refused(shared_arguments):
    arguments = shared_arguments | {"simulate": {**SIMULATE, "classes": ["90"], "unlabelled_fraction": 0.0}}
    with pytest.raises(BadInput, match="1 class"):
        data_module("CurvesData", arguments).info()


@pytest.mark.slow
def test_ztf_light_curves_join_the_pretraining(tmp_path):
    rng = np.random.default_rng(0)
    n = 60
    times = [np.sort(rng.uniform(58200, 59800, 60)) for _ in range(n)]
    frame = pd.DataFrame(
        {
            "objectid": np.arange(n) + 10**9, "filterid": 1, "fieldid": 355, "rcid": 1, "objra": 1.0, "objdec": 2.0, "nepochs": 60,
            "hmjd": times, "mag": [rng.normal(18, 0.2, 60).astype(np.float32) for _ in range(n)],
            "magerr": [np.full(60, 0.05, np.float32)] * n, "clrcoeff": [np.zeros(60, np.float32)] * n,
            "catflags": [np.zeros(60, np.int32)] * n,
        }
    )  # fmt: skip
    frame.to_parquet(tmp_path / "ztf_000355_zg_c01_q1_dr13.parquet")
    extra = (
        "task.stages.pretrain.datamodule.extra={reader:{_target_:astro_lightning.data.surveys.ztf_dr.ZtfDr},path:"
        + str(tmp_path)
        + "}"
    )
    astro_lightning("task=plasticc_pretrain", *TINY, "trainer.max_epochs=1", "report=false", extra, folder=tmp_path)
    checkpoint = run_folder(tmp_path, "plasticc_pretrain") / "checkpoints" / "pretrain" / "best.ckpt"
    info = torch.load(checkpoint, weights_only=True)["hyper_parameters"]["info"]
    # 160 labelled objects without the fifth for testing, and the 60 of ZTF.
    assert info["splits"]["train"] + info["splits"]["val"] == pytest.approx(160 * 0.8 + n, abs=3)


def test_labels_of_an_extra_survey_do_not_change_the_split(shared_arguments, tmp_path):
    import pyarrow as pa

    folder = tmp_path / "extra"
    folder.mkdir()
    labelled = simulate(n_objects=300, seed=77)
    ids = pa.array([i + 10_000 for i in labelled["id"].to_pylist()])
    pq.write_table(labelled.set_column(0, "id", ids), folder / "records.parquet")
    extra = {"reader": {"_target_": f"{__name__}.RecordFile"}, "path": str(folder / "records.parquet")}
    own = data_module("CurvesData", shared_arguments)
    both = data_module("PretrainData", shared_arguments, pretrain=MASKS, extra=extra)
    own.setup(), both.setup()
    held_out = {int(own.records.ids[row]) for part in ("test", "calibration") for row in own.splits[part]}
    seen = {int(both.records.ids[row]) for part in ("train", "val") for row in both.splits[part]}
    assert not held_out & seen and sum(i >= 10_000 for i in seen) == 300


class RecordFile:
    """Reads records as they are."""

    def __init__(self, memory_gib):
        pass

    def read(self, path, part):
        yield pq.read_table(path)
