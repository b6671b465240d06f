"""What is measured of light curves on a device of its own is what the processor measures."""

import torch
from elsewhere import DEVICE, elsewhere

from astro_lightning.methods.periodograms.nested import els_ece_eaov
from astro_lightning.methods.periodograms.phase_statistics import analysis_of_variance, conditional_entropy
from astro_lightning.methods.periodograms.second_period import second_period
from astro_lightning.tasks.scope.features import aperiodic, periodic


def measured(curves, score, trial):
    found = aperiodic(curves, max_per_day=4)
    found |= {"periodic": periodic(curves, found, score), "second": second_period(curves, trial[:, 0])}
    found |= {"entropy": conditional_entropy(curves, trial), "variance": analysis_of_variance(curves, trial)}
    found["period"], found["certainty"] = els_ece_eaov(curves, max_per_day=4, oversample=4)
    return found


def test_all_features_are_those_of_the_processor(curves):
    score = torch.rand(2, aperiodic(curves[:2], max_per_day=4)["frequency"].shape[1])
    trial = torch.linspace(0.3, 3, 50, dtype=torch.float64).expand(2, -1).contiguous()
    near = measured(curves[:2], score, trial)
    with elsewhere():
        far = measured(curves[:2].to(DEVICE), score.to(DEVICE), trial.to(DEVICE))
        for name, value in near.items():
            assert far[name].device == DEVICE, name
            torch.testing.assert_close(far[name].cpu(), value, rtol=1e-4, atol=1e-6, equal_nan=True)
