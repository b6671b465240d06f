"""Speed of the features and periodograms on one core:  python -m benchmarks.scope_speed [FILE_OR_FOLDER]."""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from astro_lightning.data.records import Records
from astro_lightning.data.surveys.catalina import Catalina
from astro_lightning.methods.periodograms.candidates import candidate_periods
from astro_lightning.methods.periodograms.grid import FrequencyGrid
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.methods.periodograms.lomb_scargle import lomb_scargle
from astro_lightning.methods.periodograms.phase_statistics import analysis_of_variance, conditional_entropy
from astro_lightning.tasks.scope.dmdt import dmdt
from astro_lightning.tasks.scope.fourier import fourier_features
from astro_lightning.tasks.scope.measure import magnitudes
from astro_lightning.tasks.scope.simulate import simulate
from astro_lightning.tasks.scope.statistics import basic_statistics
from benchmarks.clock import seconds
from benchmarks.table import Cell, write_table

BLOCK = 16


def numpy_entropy(time_d: np.ndarray, scaled: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """The reference: one two-dimensional histogram for each frequency."""
    out = np.empty(len(frequency))
    for i, f in enumerate(frequency):
        joint, _, _ = np.histogram2d((time_d * f) % 1, scaled, bins=(20, 10), range=((0, 1), (0, 1)))
        joint /= joint.sum()
        column = np.broadcast_to(joint.sum(1, keepdims=True), joint.shape)
        out[i] = (joint[joint > 0] * np.log(column[joint > 0] / joint[joint > 0])).sum()
    return out


def numpy_variance(time_d: np.ndarray, scaled: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """The reference: counts and sums of the bins for each frequency."""
    out = np.empty(len(frequency))
    total, points = scaled.sum(), len(scaled)
    for i, f in enumerate(frequency):
        place = ((time_d * f) % 1 * 20).astype(np.int64)
        count, summed = np.bincount(place, minlength=20), np.bincount(place, scaled, minlength=20)
        between = (summed**2 / np.maximum(count, 1)).sum() - total**2 / points
        within = (scaled**2).sum() - total**2 / points - between
        out[i] = (between / 19) / (within / (points - 20))
    return out


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, help="Catalina curves; without it the synthetic twin")
    parser.add_argument("--curves", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = next(Catalina(memory_gib=2).read(arguments.path)) if arguments.path else simulate(arguments.curves, 0)
    table = table.take(np.linspace(0, table.num_rows - 1, arguments.curves).astype(np.int64))
    records = Records.from_table(table.combine_chunks())
    order = np.argsort(records.ragged["mag"].lengths, kind="stable")
    curves = LightCurves.from_ragged(*magnitudes(records, order))
    period = torch.from_numpy(records.column("period")[order].copy())
    blocks = [slice(i, i + BLOCK) for i in range(0, len(curves), BLOCK)]
    count = len(curves)

    def features() -> None:
        for block in blocks:
            part = curves[block]
            part = LightCurves(
                *(x[:, : int(part.count.max())] for x in (part.time_d, part.mag, part.mag_err, part.valid))
            )
            basic_statistics(part), fourier_features(part, period[block]), dmdt(part)

    few = curves[:BLOCK]
    rows: list[list[Cell]] = [
        ["statistics + Fourier + dm-dt", count / seconds(features), "curves/s", None],
        ["candidate periods to 20/d", BLOCK / seconds(lambda: candidate_periods(few), 2), "curves/s", None],
    ]
    curve = curves[count // 2 : count // 2 + 1]
    own = slice(0, int(curve.count[0]))  # a curve alone has no padding
    curve = LightCurves(*(x[:, own] for x in (curve.time_d, curve.mag, curve.mag_err, curve.valid)))
    time_d, mag, err = (x[0][curve.valid[0]].numpy() for x in (curve.time_d, curve.mag, curve.mag_err))
    scaled = ((mag - mag.min()) / np.ptp(mag)).clip(0, 1 - 1e-12)
    grid = FrequencyGrid.over(float(time_d[-1]), 48, 10)
    taken = seconds(lambda: lomb_scargle(time_d, mag, err, grid))
    rows.append(["Lomb-Scargle to 48/d", taken, f"s a curve of {grid.count:,} frequencies", None])
    trial = torch.linspace(0.1, 10, 2000, dtype=torch.float64)[None]
    for name, fast, plain in (
        ("conditional entropy", conditional_entropy, numpy_entropy),
        ("analysis of variance", analysis_of_variance, numpy_variance),
    ):
        here, there = seconds(lambda: fast(curve, trial)), seconds(lambda: plain(time_d, scaled, trial[0].numpy()))  # noqa: B023
        points = len(mag) * trial.shape[1]
        rows.append([name, points / here / 1e6, "million points x frequencies/s", there / here])
    if torch.cuda.is_available():
        many = LightCurves(
            *(x.repeat(4, 1)[:100].cuda() for x in (curves.time_d, curves.mag, curves.mag_err, curves.valid))
        )
        trials = trial[:, :1000].cuda().expand(100, -1)
        for fast in (conditional_entropy, analysis_of_variance):
            fast(many, trials)
            torch.cuda.synchronize()
            start = time.perf_counter()
            fast(many, trials)
            torch.cuda.synchronize()
            rate = float(many.count.sum()) * 1000 / (time.perf_counter() - start) / 1e6
            rows.append(
                [f"{fast.__name__} on {torch.cuda.get_device_name()}", rate, "million points x periods/s", None]
            )
    write_table(
        "scope_speed",
        "Speed of features and periodograms",
        ["what", "rate", "unit", "times plain NumPy"],
        rows,
        f"{count} {'Catalina' if arguments.path else 'simulated'} curves, {curves.count.float().mean():.0f} points each; "
        "one core, processor time.",
        "python -m benchmarks.scope_speed FILE_OR_FOLDER",
    )


if __name__ == "__main__":
    main()
