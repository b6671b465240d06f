"""The sampled moments at which a source family is evaluated, and the black body that colours most of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

# Effective wavelengths of LSST's ugrizy.
BAND_WAVELENGTH_NM = np.array([367.0, 482.5, 622.2, 754.5, 869.1, 971.0])
HC_OVER_K_NM_K = 1.438777e7


@dataclass(frozen=True)
class Scene:
    """Epochs of many objects laid end to end.

    Attributes:
        rng: source of the objects' parameters.
        offsets: `(n_objects + 1,)` first epoch of each object.
        row: `(n_epochs,)` object of each epoch.
        mjd: `(n_epochs,)` observer's time.
        band: `(n_epochs,)` 0..5 = ugrizy.
        day: `(n_epochs,)` rest-frame days since the object's own time zero.
        wavelength_nm: `(n_epochs,)` rest-frame effective wavelength.
        z: `(n_objects,)` redshift, 0 for galactic objects.
        step: `(n_objects,)` how often the object was redrawn before; later draws are brighter.
    """

    rng: np.random.Generator
    offsets: Ints
    row: Ints
    mjd: Floats
    band: Ints
    day: Floats
    wavelength_nm: Floats
    z: Floats
    step: Ints

    @property
    def n(self) -> int:
        """Number of objects."""
        return len(self.z)

    def normal(self, mean: float, sigma: float) -> Floats:
        """One Gaussian draw an object."""
        return self.rng.normal(mean, sigma, self.n)

    def uniform(self, low: float, high: float) -> Floats:
        """One uniform draw an object."""
        return self.rng.uniform(low, high, self.n)

    def lognormal(self, median: float, sigma: float) -> Floats:
        """One log-normal draw an object, given by its median and the scatter of its natural logarithm."""
        return median * np.exp(self.rng.normal(0.0, sigma, self.n))

    def reddening(self, mean_ebv: float) -> Floats:
        """Dimming by dust in the host galaxy, `(n_epochs,)` in magnitudes; E(B-V) is exponential."""
        ebv = self.rng.exponential(mean_ebv, self.n)
        return 3.1 * ebv[self.row] * (550.0 / self.wavelength_nm) ** 1.3


def black_body(wavelength_nm: Floats, temperature_k: Floats, pivot_nm: float = 500.0) -> Floats:
    """Planck's f_nu relative to its value at `pivot_nm`."""
    exponent = np.minimum(HC_OVER_K_NM_K / (wavelength_nm * temperature_k), 200.0)
    return (pivot_nm / wavelength_nm) ** 3 * np.expm1(HC_OVER_K_NM_K / (pivot_nm * temperature_k)) / np.expm1(exponent)


def line_blanketing(wavelength_nm: Floats, cut_nm: float | Floats) -> Floats:
    """Factor 0..1 by which metal lines of an ejecta take away the light blueward of `cut_nm`."""
    ratio = cut_nm / wavelength_nm
    ratio2 = ratio * ratio
    return 1.0 / (1.0 + ratio2 * ratio2 * ratio2 * ratio2)


def flux_of(magnitude: Floats) -> Floats:
    """Flux in units of the zero point 0."""
    return 10.0 ** (-0.4 * magnitude)
