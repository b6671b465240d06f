"""Simulated PLAsTiCC objects per second on one core: `python benchmarks/plasticc_simulate.py [n_objects]`."""

import sys
import time

import pyarrow.compute as pc

from astro_lightning.tasks.plasticc.simulate import simulate


def main() -> None:
    """Time both class mixes and print a line each."""
    n_objects = int(sys.argv[1]) if len(sys.argv) > 1 else 8192
    simulate(1, seed=0)
    for balanced in (False, True):
        start = time.perf_counter()
        table = simulate(n_objects, seed=1, balanced=balanced, unseen_fraction=0.05)
        seconds = time.perf_counter() - start
        rate = pc.sum(pc.list_value_length(table["mjd"])).as_py() / seconds
        print(f"balanced={balanced}: {n_objects / seconds:.0f} objects/s, {rate:.3g} epochs/s")


if __name__ == "__main__":
    main()
