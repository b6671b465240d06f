"""A HATS catalogue of real light curves: killed and gone on with, it holds what one file gets, to the last bit."""

import os
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import clean_environment, command
from untrained import TASKS, untrained

from astro_lightning.core.build import build
from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.plasticc import Plasticc
from astro_lightning.predict.catalogue import read_partition
from astro_lightning.verbs.score import main

lsdb = pytest.importorskip("lsdb")
STARS = 18


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("run"), *TASKS["scope"])


@pytest.fixture(scope="module")
def stars(shared_data, tmp_path_factory):
    """One Parquet file of Catalina stars, and a catalogue of them: light curves as a nested column, some stars a partition."""
    from nested_pandas import NestedFrame

    folder = tmp_path_factory.mktemp("stars")
    table = pq.read_table(shared_data / "scope" / "css_periodic_variables.parquet")
    table = table.take(pa.array(np.linspace(0, table.num_rows - 1, STARS).astype(int)))
    pq.write_table(table, folder / "stars.parquet")
    flat = NestedFrame(table.select(["id", "ra", "dec", "period"]).to_pandas())
    names = {"mjd_1e6": "mjd_1e6", "mag_1e4": "mag_1e4", "magerr_1e4": "magerr_1e4"}
    lists = {new: np.concatenate(table[old].to_numpy()) for old, new in names.items()}
    curves = pd.DataFrame(lists, index=np.repeat(flat.index, [len(row) for row in table["mjd_1e6"]]))
    catalogue = lsdb.from_dataframe(flat.join_nested(curves, "lightcurve"), partition_rows=4)
    catalogue.write_catalog(folder / "stars", catalog_name="stars", as_collection=True, progress_bar=False)
    return folder


@pytest.mark.slow
def test_a_killed_catalogue_goes_on_and_equals_the_file_to_the_last_bit(run, stars, tmp_path, monkeypatch):
    out = tmp_path / "scores"
    words = (
        "score",
        str(stars / "stars"),
        "--data",
        "catalina",
        "--ckpt",
        str(run),
        "--out",
        str(out),
        "--task",
        "scope",
    )
    running = subprocess.Popen(command(*words, folder=tmp_path), env=clean_environment(tmp_path))
    while len(list(tmp_path.glob(".scores.parts-*/scored/0*.parquet"))) < 2:
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob(".scores.parts-*/scored/0*.parquet")}
    assert not out.exists()
    rename, times = os.replace, {}

    def replace(source, target):
        if target == out:
            times.update({path.name: path.stat().st_mtime_ns for path in source.parent.glob("scored/*.parquet")})
        rename(source, target)

    monkeypatch.setattr("astro_lightning.predict.catalogue.os.replace", replace)
    main([*words[1:], "--workers", "2"])
    assert 2 <= len(kept) < len(times) and all(times[name] == when for name, when in kept.items())
    assert [path.name for path in tmp_path.iterdir()] == ["scores"]
    main(
        [
            str(stars / "stars.parquet"),
            "--data",
            "catalina",
            "--ckpt",
            str(run),
            "--out",
            str(tmp_path / "file.parquet"),
        ]
    )
    file = pq.read_table(tmp_path / "file.parquet").sort_by("id")
    written = lsdb.open_catalog(out)
    scores = pa.Table.from_pandas(written.compute(progress_bar=False), preserve_index=False).sort_by("id")
    assert scores.num_rows == STARS and written.npartitions > 3
    positions = pq.read_table(stars / "stars.parquet").sort_by("id")
    assert scores["ra"].to_pylist() == positions["ra"].to_pylist()
    for name in file.column_names:
        assert scores[name].to_pylist() == file[name].to_pylist(), name
    with pytest.raises(BadInput, match="exists"):
        main(list(words[1:]))


def test_nested_columns_of_several_bands_are_read_as_the_survey_reads_its_own_files():
    table = build({"_target_": "astro_lightning.tasks.plasticc.simulate.simulate"}, n_objects=5, seed=3)
    lengths = [len(row) for row in table["mjd"].to_pylist()]
    names = {"mjd": "mjd", "passband": "band", "flux": "flux", "flux_err": "flux_err", "detected": "detected"}
    rows = [
        [dict(zip(names, row)) for row in zip(*(table[old][i].as_py() for old in names.values()))] for i in range(5)
    ]
    flat = {"object_id": table["id"], "hostgal_photoz": table["photoz"], "hostgal_photoz_err": table["photoz_err"],
            "mwebv": table["mwebv"], "ddf": pa.array([1] * 5)}  # fmt: skip
    records = read_partition(Plasticc(), pa.table({**flat, "curves": pa.array(rows)}), "Order: 0, Pixel: 1")
    assert records["id"].to_pylist() == table["id"].to_pylist()
    assert [len(row) for row in records["mjd"].to_pylist()] == lengths
    for name in ("mjd", "flux", "band", "photoz"):
        assert records[name].to_pylist() == table[name].to_pylist(), name
    with pytest.raises(BadInput, match="partition Order: 0, Pixel: 1"):
        read_partition(Plasticc(), pa.table(flat), "Order: 0, Pixel: 1")
