"""One pulse in all bands of a light curve: a grid of shapes and times, amplitudes in closed form."""

import numpy as np

from astro_lightning.tasks.plasticc.light_curves import LightCurves

# Days.
FIRST_SHAPE = (6.0, 30.0)
RISES = (2, 3.5, 6, 10, 18, 35, 70)
FALLS = (8, 14, 22, 35, 60, 110, 220, 450)
SHIFTS = np.array([-24.0, -14, -8, -4, 0, 4, 8, 14, 24])


def pulse(phase: np.ndarray, rise: float, fall: float) -> np.ndarray:
    """Pulse of height 1 at phase 0 (Bazin et al. 2009, arXiv:0904.1066): exponential rise and fall times in days, fall > rise."""
    middle = -rise * np.log(fall / rise - 1)
    x = np.clip(phase - middle, -60 * rise, 60 * fall)
    top = np.exp(middle / fall) / (1 + np.exp(middle / rise))
    return np.exp(-x / fall) / (1 + np.exp(-x / rise)) / top


class PulseFit:
    """Fits light curves of N objects, weighted by the errors; the pulse is chosen by its bands of positive amplitude alone.

    Attributes:
        peak: (N,) mjd of the maximum.
        log_rise, log_fall: (N,) posterior means of ln(days), and `log_rise_sd`, `log_fall_sd` their spreads.
        gain: (N,) chi2 of zero flux less chi2 of the fit.
        amplitude, amplitude_err: (N, n_bands) flux at the maximum, of either sign; an infinite error where the band has no
            observation.
        band_rise, band_fall, band_shift: (N, n_bands) the best pulse of each band alone: ln(days) and days after `peak`.
        band_gain: (N, n_bands) chi2 of zero flux less chi2 of that pulse.
        model: (n_observations,) flux of the fit.
    """

    def __init__(self, curves: LightCurves, error: np.ndarray, n_bands: int) -> None:
        self.curves, self.n_bands = curves, n_bands
        self.owner = curves.owner
        self.key = self.owner * n_bands + curves.band
        self.weight = error**-2.0
        self.weighted_flux = self.weight * curves.flux
        self._search(self._coarse_peak())

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.key, values, len(self.curves) * self.n_bands).reshape(-1, self.n_bands)

    def _gain(self, peak: np.ndarray, rise: float, fall: float) -> np.ndarray:
        """Improvement of chi2 in each band, (N, n_bands)."""
        shape = pulse(self.curves.mjd - peak[self.owner], rise, fall)
        overlap = np.maximum(self._sum(self.weighted_flux * shape), 0)
        return overlap**2 / np.maximum(self._sum(self.weight * shape**2), 1e-30)

    def _coarse_peak(self) -> np.ndarray:
        """The observation with the highest signal-to-noise ratio averaged over its neighbours, as first guess of the peak."""
        curves = self.curves
        best, peak = np.full(len(curves), -1.0), np.zeros(len(curves))
        # Every curve's own significant epochs are tried, the k-th most significant of all curves at once.
        significance = curves.flux * np.sqrt(self.weight)
        order = np.lexsort((-significance, self.owner))
        first, length = curves.offsets[:-1], curves.lengths
        for k in range(6):
            there = length > k
            trial = (
                np.where(there, curves.mjd[order[np.minimum(first + k, max(len(order) - 1, 0))]], 0.0)
                if len(order)
                else peak
            )
            gain = self._gain(trial, *FIRST_SHAPE).sum(1)
            better = there & (gain > best)
            best, peak = np.where(better, gain, best), np.where(better, trial, peak)
        return peak

    def _search(self, coarse: np.ndarray) -> None:
        n, n_bands = len(self.curves), self.n_bands
        shapes = [(rise, fall) for rise in RISES for fall in FALLS if fall > 1.3 * rise]
        total = np.zeros((len(shapes), len(SHIFTS), n), np.float32)
        self.band_gain = np.full((n, n_bands), -1.0)
        self.band_rise, self.band_fall, self.band_shift = (np.full((n, n_bands), np.nan) for _ in range(3))
        for i, (rise, fall) in enumerate(shapes):
            for j, shift in enumerate(SHIFTS):
                gain = self._gain(coarse + shift, rise, fall)
                total[i, j] = gain.sum(1)
                better = gain > self.band_gain
                self.band_gain = np.where(better, gain, self.band_gain)
                self.band_rise[better], self.band_fall[better], self.band_shift[better] = (
                    np.log(rise),
                    np.log(fall),
                    shift,
                )
        flat = total.reshape(-1, n)
        best = flat.argmax(0)
        self.gain = flat.max(0)
        # In float64, and about the mean: the width of a narrow pulse is else what rounding leaves, another one in each batch.
        weight = np.exp(np.clip((total - self.gain) / 2, -50, 0)).sum(1, dtype=np.float64)
        weight /= weight.sum(0)
        log_rise, log_fall = (np.log([[shape[k]] for shape in shapes]) for k in (0, 1))
        self.log_rise, self.log_fall = (log_rise * weight).sum(0), (log_fall * weight).sum(0)
        self.log_rise_sd = np.sqrt(((log_rise - self.log_rise) ** 2 * weight).sum(0))
        self.log_fall_sd = np.sqrt(((log_fall - self.log_fall) ** 2 * weight).sum(0))
        shift = SHIFTS[best % len(SHIFTS)]
        self.peak = coarse + shift
        self.band_shift -= shift[:, None]
        of_best = best // len(SHIFTS)
        form = np.zeros(len(self.curves.mjd))
        for i in np.unique(of_best):
            mine = (of_best == i)[self.owner]
            form[mine] = pulse((self.curves.mjd - self.peak[self.owner])[mine], *shapes[i])
        precision = self._sum(self.weight * form**2)
        with np.errstate(divide="ignore"):
            self.amplitude_err = precision**-0.5
        self.amplitude = self._sum(self.weighted_flux * form) / np.maximum(precision, 1e-30)
        self.model = form * self.amplitude.reshape(-1)[self.key]
