"""From light curves to the columns that a classifier of variable stars sees."""

from __future__ import annotations

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.candidates import CANDIDATES, candidate_periods
from astro_lightning.methods.periodograms.descriptors import DESCRIPTORS, WAVE, describe_candidates, wave
from astro_lightning.methods.periodograms.double_wave import DOUBLE_WAVE, double_wave
from astro_lightning.methods.periodograms.drift import DRIFT, drift
from astro_lightning.methods.periodograms.harmonics import refine, softened
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.methods.periodograms.second_period import SECOND, second_period
from astro_lightning.tasks.scope.dmdt import SIZE, dmdt
from astro_lightning.tasks.scope.fourier import FOURIER, fourier_features
from astro_lightning.tasks.scope.statistics import STATISTICS, basic_statistics

# Beside the published 22 + 17: how sure the choice of the period is, the shape of the folded curve, what is left over.
CHOICE = ("choice_logit", "choice_margin", "second_choice_log_ratio", "sine_log_period", "sine_power", "significance")
PERIODIC = (
    "log_period", "sine_log_ratio", *FOURIER, *CHOICE, *(f"fold_{name}" for name in DESCRIPTORS), *SECOND, *DRIFT,
    *(f"{at}_{name}" for at in ("wave", "sine", "double_sine") for name in WAVE),
    *(f"two_{name}" for name in DOUBLE_WAVE),
)  # fmt: skip
FEATURES = (*STATISTICS, *PERIODIC)
# Length of each fixed-size column of `aperiodic`.
WIDTHS = {
    "statistics": len(STATISTICS), "dmdt": SIZE * SIZE, "frequency": CANDIDATES,
    "candidates": CANDIDATES * len(DESCRIPTORS), "best_sine": 3,
}  # fmt: skip


def aperiodic(curves: LightCurves, max_per_day: float = 20.0, excise: bool = False) -> dict[str, Tensor]:
    """All that does not depend on which of the candidate periods is the right one.

    Args:
        curves: The light curves.
        max_per_day: Highest frequency searched, cycles a day.
        excise: Whether to leave out the terrestrial zones.

    Returns:
        `statistics` float32, `dmdt` float32, `frequency` of the candidates float64, `candidates` (their descriptors)
        float32, `best_sine` float64, each of shape (curves, WIDTHS[name]).
    """
    frequency, power_at, best_sine = candidate_periods(curves, max_per_day, excise=excise)
    return {
        "statistics": basic_statistics(curves).float(),
        "dmdt": dmdt(curves).flatten(1),
        "frequency": frequency,
        "candidates": describe_candidates(curves, frequency, power_at).flatten(1),
        "best_sine": best_sine,
    }


def periodic(curves: LightCurves, found: dict[str, Tensor], score: Tensor) -> Tensor:
    """Features at the candidate of the highest score.

    Args:
        curves: The light curves.
        found: What `aperiodic` returned for them.
        score: Of each candidate (log odds that it is the period), shape (curves, CANDIDATES).

    Returns:
        Columns as named in PERIODIC, shape (curves, len(PERIODIC)), float32.
    """
    chosen = score.argmax(1, keepdim=True)
    frequency = found["frequency"]
    first = refine(softened(curves), frequency.gather(1, chosen), steps=5)
    # The runner-up must be another period, not the same peak found twice.
    other = score.masked_fill((frequency / first - 1).abs() < 0.01, -torch.inf)
    runner_up = other.argmax(1, keepdim=True)
    best, best_sine = score.gather(1, chosen), found["best_sine"]
    sure = torch.cat([
        best, (best - other.gather(1, runner_up)).clamp_max(50.0), (first / frequency.gather(1, runner_up)).log10(),
        -best_sine[:, :1].log10(), best_sine[:, 1:],
    ], 1)  # fmt: skip
    fold = found["candidates"].unflatten(1, (CANDIDATES, len(DESCRIPTORS)))[torch.arange(len(curves)), chosen[:, 0]]
    log_period = -first.log10()
    parts = [
        log_period, -best_sine[:, :1].log10() - log_period, fourier_features(curves, 1 / first[:, 0]), sure, fold,
        second_period(curves, first[:, 0]), drift(curves, first[:, 0]), wave(curves, first[:, 0]),
        wave(curves, best_sine[:, 0]), wave(curves, best_sine[:, 0] / 2),
        double_wave(curves, best_sine[:, 0]),
    ]  # fmt: skip
    return torch.cat([part.float() for part in parts], 1)
