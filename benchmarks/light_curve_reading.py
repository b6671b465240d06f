"""How fast light-curve files become records, and in how much memory.

`python -m benchmarks.light_curve_reading [--rows N] [--memory-gib G] [PATH]` gives observations per second on one core and
peak memory. Without PATH, files in PLAsTiCC's layout, CSV and Parquet, are written to a temporary folder first.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from astro_lightning.data.surveys.plasticc import Plasticc
from benchmarks.table import Cell, write_table


def write_challenge(folder: Path, rows: int, epochs: int = 180) -> None:
    """Write a training set of `rows` observations, CSV and (in `parquet/`) Parquet."""
    rng = np.random.default_rng(0)
    objects = max(1, rows // epochs)
    ids = np.sort(rng.choice(130_000_000, objects, replace=False))
    mjd = 59580 + np.round(np.sort(rng.uniform(0, 1094, (objects, epochs)), axis=1), 4)
    table = pa.table(
        {
            "object_id": np.repeat(ids, epochs),
            "mjd": mjd.ravel(),
            "passband": rng.integers(0, 6, objects * epochs),
            "flux": np.round(rng.normal(0, 300, objects * epochs), 6),
            "flux_err": np.round(rng.uniform(1, 40, objects * epochs), 6),
            "detected": rng.integers(0, 2, objects * epochs),
        }
    )
    metadata = pa.table(
        {
            "object_id": ids,
            "ddf": np.zeros(objects, dtype=int),
            "hostgal_specz": rng.uniform(0, 1, objects),
            "hostgal_photoz": rng.uniform(0, 1, objects),
            "hostgal_photoz_err": rng.uniform(0, 1, objects),
            "mwebv": rng.uniform(0, 1, objects),
            "target": np.full(objects, 90),
        }
    )
    (folder / "parquet").mkdir()
    for name, part in (("training_set", table), ("training_set_metadata", metadata)):
        csv.write_csv(part, folder / f"{name}.csv")
        pq.write_table(part, folder / "parquet" / f"{name}.parquet")


def measure(path: Path, memory_gib: float) -> list[float]:
    """Read `path` once: objects, observations, observations a second, GiB by which the peak memory grew."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, objects, observations = time.process_time(), 0, 0
    for records in Plasticc(memory_gib=memory_gib).read(path):
        objects += records.num_rows
        observations += sum(len(chunk.flatten()) for chunk in records["mjd"].chunks)
    taken = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    return [objects, observations, observations / taken, grown]


def in_fresh_process(path: Path, memory_gib: float) -> list[float]:
    """Peak memory never falls within a process, so that each measurement needs its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (path, memory_gib))


def main() -> None:
    """Measure one path, or CSV and Parquet of PLAsTiCC's layout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", type=Path, help="PLAsTiCC file or folder")
    parser.add_argument("--rows", type=int, default=1_420_000, help="observations to write where no path is given")
    parser.add_argument("--memory-gib", type=float, default=1.0, help="bound on memory, as for the survey")
    options = parser.parse_args()
    if options.path:
        print(*in_fresh_process(options.path, options.memory_gib))
        return
    with tempfile.TemporaryDirectory() as name:
        write_challenge(Path(name), options.rows)
        forms = {"CSV": Path(name), "Parquet": Path(name) / "parquet"}
        rows: list[list[Cell]] = [[form, *in_fresh_process(path, options.memory_gib)] for form, path in forms.items()]
    write_table(
        "light_curve_reading",
        "Light-curve files read",
        ["form", "objects", "observations", "observations/s", "peak memory grew by, GiB"],
        rows,
        "Files in PLAsTiCC's layout to validated, sorted records; one core, processor time, a process of its own each.",
        "python -m benchmarks.light_curve_reading",
    )


if __name__ == "__main__":
    main()
