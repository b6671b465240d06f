"""Simulated PLAsTiCC objects per second on one core: `python -m benchmarks.plasticc_simulate [n_objects]`."""

import sys
from functools import partial

import pyarrow.compute as pc

from astro_lightning.tasks.plasticc.simulate import simulate
from benchmarks.clock import seconds
from benchmarks.table import write_table


def main() -> None:
    """Time both class mixes."""
    n_objects = int(sys.argv[1]) if len(sys.argv) > 1 else 8192
    rows = []
    for balanced in (False, True):
        work = partial(simulate, n_objects=n_objects, seed=1, balanced=balanced, unseen_fraction=0.05)
        taken = seconds(work, 2)
        epochs = pc.sum(pc.list_value_length(work()["mjd"])).as_py()
        rows.append(["all classes alike" if balanced else "the survey's own shares", n_objects / taken, epochs / taken])
    write_table(
        "plasticc_simulate",
        "Simulated light curves",
        ["classes", "objects/s", "epochs/s"],
        rows,
        f"{n_objects:,} objects, one core, processor time.",
        "python -m benchmarks.plasticc_simulate",
        [1],
    )


if __name__ == "__main__":
    main()
