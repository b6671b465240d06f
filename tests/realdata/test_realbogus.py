import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from command import astro_lightning, run_folder

from astro_lightning.data.surveys.alerts_avro import read_packets
from astro_lightning.data.surveys.des_autoscan import DesAutoscan
from astro_lightning.data.surveys.snad_embeddings import SnadEmbeddings
from astro_lightning.data.surveys.stamps import Stamps
from astro_lightning.tasks.rb_c1000.preprocess import preprocess
from astro_lightning.tasks.rb_c1000.stamp_features import stamp_features


@pytest.mark.parametrize(
    ("folder", "n", "side"),
    [
        ("ztf_kowalski", 7, 63),
        ("ztf_official", 1, 63),
        ("ztf_alerce_snappy", 3, 63),
        ("pgir_kowalski", 1, 61),
        ("winter_kowalski", 1, 81),
    ],
)
def test_packets_of_every_broker(shared_data: Path, folder, n, side):
    packets = list(read_packets(shared_data / "realbogus" / "avro" / folder))
    assert len(packets) == n
    assert all(cutout.shape == (side, side) for packet in packets for cutout in packet.cutouts)
    assert all(packet.object_id[:3] in ("ZTF", "PGI", "WNT") for packet in packets)


def test_a_night_with_a_packet_of_unknown_schema_is_read_to_its_end(shared_data: Path):
    skipped: list[str] = []
    packets = list(read_packets(shared_data / "realbogus" / "avro", skipped=skipped))
    assert len(packets) == 15
    assert [s.split(":")[0] for s in skipped] == ["lsst_7912941781254298.avro"]


def test_real_stamps_become_finite_inputs_and_features(shared_data: Path):
    table = next(Stamps(score_column="weak_score").read(shared_data / "realbogus" / "ztf_alert_triplets.npz"))
    assert table.num_rows == 516 and len(set(table["group"].to_pylist())) == 408
    stamps = table["stamp"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, 3, 63, 63)[:100]
    assert np.isfinite(preprocess(stamps)).all() and np.isfinite(stamp_features(stamps)).all()


def test_des_features_leave_the_identifier_out(shared_data: Path):
    table = next(DesAutoscan().read(shared_data / "realbogus"))
    assert table.num_rows == 11988 and table["features"].type.list_size == 38
    assert set(table["label"].to_pylist()) == {"real", "bogus"}


def test_embeddings_have_the_frames_they_say(shared_data: Path):
    table = next(SnadEmbeddings(lightcurves=True).read(shared_data / "rb_vae_rnn"))
    assert table.num_rows == 1765 and table["features"].type.num_fields == 54
    assert sum(label == "artefact" for label in table["label"].to_pylist()) == 908
    assert len(set(table["group"].to_pylist())) == 166


@pytest.mark.slow
def test_trees_learn_real_stamps_show_their_mistakes_and_score_packets(shared_data: Path, tmp_path: Path):
    words = ("experiment=rb_ztf_stamps", "task.n_folds=2", "trainer=cpu", "callbacks=quiet", "report=false")
    astro_lightning(*words, folder=tmp_path, ASTRO_LIGHTNING_DATA=str(shared_data))
    run, out = run_folder(tmp_path, "rb_c1000"), tmp_path / "scores.parquet"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test/roc_auc"] > 0.9 and metrics["test/n"] == 516
    assert (run / "plots" / "mistaken_cutouts.png").stat().st_size > 10_000
    packets = shared_data / "realbogus" / "avro" / "ztf_kowalski"
    astro_lightning(
        "mode=predict", "task=rb_c1000", f"ckpt={run}", f"data.path={packets}", f"out={out}", folder=tmp_path
    )
    scores = pq.read_table(out)
    assert scores.num_rows == 7 and np.allclose(np.add(scores["prob_real"], scores["prob_bogus"]), 1)
