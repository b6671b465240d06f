"""What labelled spectra of its own do for a survey that no network saw: how many good ones the rejection loses.

Run: python -m benchmarks.spectra_recalibrated RUN_FOLDER    (of experiment=spectra_leave_one_out)
"""

import json
import sys
from pathlib import Path

import numpy as np
import yaml

from astro_lightning.core.calibration import Evidence
from astro_lightning.core.stages import datamodule_of
from astro_lightning.data.records import Records
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.spectra.module import SpectraModule
from astro_lightning.tasks.spectra.scoring import is_clean
from astro_lightning.tasks.spectra.simulate import simulate
from benchmarks.table import Cell, write_table

OWN, DRAWS, N = 50, 20, 300
SNR = (10.0, 80.0)
KINDS = ("sky", "junk", "supernova")


def main(folder: Path) -> None:
    """Score each survey by its own network, calibrated as trained and on `OWN` of its spectra, drawn `DRAWS` times."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    templates = Path(config["task"]["twin"]["templates"])
    unknown = [Records.from_table(simulate(N, 1000, (0, 0, 0, 1), templates, *SNR, {kind: 1.0})) for kind in KINDS]
    rows: list[list[Cell]] = []
    for name in json.loads((folder / "checkpoints" / "predicting.json").read_text()):
        scorer = Scorer(folder / name)
        stage = scorer.members[0].identity["stage"]
        data = datamodule_of(config, stage)
        tested = data.splits["test"]
        clean = tested[is_clean(data.records.flat.take(tested), scorer.classes)]
        own = scorer.evidence(data.records, clean, 0)
        kinds = [scorer.evidence(records, np.arange(N), 0) for records in unknown]
        alpha = scorer.info["alpha"]
        before = [float(np.mean(e.own["p_known"] <= alpha)) for e in (own, *kinds)]
        after = np.mean([calibrated(scorer, own, kinds, draw) for draw in range(DRAWS)], axis=0)
        pairs = [share for both in zip(before, after.tolist(), strict=True) for share in both]
        rows.append([stage.removeprefix("without_"), len(clean), *pairs])
        print(*rows[-1], flush=True)
    columns = ["survey", "clean spectra", "lost", "lost, calibrated"]
    for kind in KINDS:
        columns += [f"{kind} rejected", f"{kind} rejected, calibrated"]
    write_table(
        "spectra_recalibrated",
        "Spectra of a survey never seen, with labelled ones of its own",
        columns,
        rows,
        f"Each survey by the network that never saw it, as trained and calibrated anew on {OWN} of its clean spectra (mean of "
        f"{DRAWS} draws; lost are those of the others), rejection at p_known <= {alpha:g}; {N} synthetic spectra of each unknown "
        f"kind at S/N {SNR[0]:g} to {SNR[1]:g}.",
        "python -m benchmarks.spectra_recalibrated RUN_FOLDER   # of experiment=spectra_leave_one_out",
        [0],
    )


def calibrated(scorer: Scorer, own: Evidence, kinds: list[Evidence], draw: int) -> list[float]:
    """Shares rejected of the other spectra of the survey and of each kind."""
    order = np.random.default_rng(draw).permutation(len(own.label))
    calibration = SpectraModule.recalibration(scorer.info)
    calibration.renew([own.only(order[:OWN])])
    found = [calibration.columns({0: e})["p_known"] for e in (own.only(order[OWN:]), *kinds)]
    return [float(np.mean(p <= scorer.info["alpha"])) for p in found]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
