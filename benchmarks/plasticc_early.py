"""Scores of a finished run on light curves that are still growing, as a table.

python -m benchmarks.plasticc_early RUN_FOLDER     # of experiment=mallorn_early, or after `astro-lightning early RUN_FOLDER`
"""

import math
import sys
from pathlib import Path

from astro_lightning.data.errors import BadInput
from astro_lightning.report.early import METRICS, early_table
from astro_lightning.report.run_folder import read_run
from benchmarks.record import command
from benchmarks.table import write_table


def main(words: list[str]) -> None:
    """Write the table of one run."""
    run = read_run(Path(words[0]).expanduser())
    if run.example("early") is None:
        raise BadInput(f"{run.path} was not tested on growing curves: astro-lightning early {run.path}")
    rows = []
    for _, found in early_table(run.example("early")).iterrows():
        day = "whole" if math.isinf(found["days"]) else f"{found['days']:g}"
        spans = {name: f"[{found[f'{name}_low']:.3f}, {found[f'{name}_high']:.3f}]" for name in METRICS}
        cells = [cell for name in METRICS for cell in (found[name], spans[name])]
        rows.append([day, int(found["objects"]), *cells])
    columns = [cell for title in METRICS.values() for cell in (title, f"{title}, 95%")]
    seed = int(run.config["seed"])
    write_table(
        "plasticc_early",
        "Light curves that are still growing",
        ["days since the first detection", "objects", *columns],
        rows,
        note=f"{run.data}, the test objects of a run, cut so many days after their first detection. Intervals: bootstrap over the "
        "objects.",
        command=f"{command([run], [seed], [run.config['data'].get('split_seed')])} && astro-lightning early RUN",
        seeds=[seed],
    )


if __name__ == "__main__":
    main(sys.argv[1:])
