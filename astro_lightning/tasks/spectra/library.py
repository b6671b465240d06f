"""Rest-frame spectra on one logarithmic wavelength grid, and their look-up at any redshift."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]  # single precision where they are kept

LOG_START, LOG_STEP, LOG_PIXELS = 2.95, 1e-4, 10600  # 891 to 10230 Angstrom, 69 km/s a pixel
LOG_WAVELENGTH = LOG_START + LOG_STEP * np.arange(LOG_PIXELS)
WAVELENGTH_A = (10**LOG_WAVELENGTH).astype(np.float32)


@dataclass(frozen=True)
class Library:
    """Rest-frame flux densities per Angstrom, each with mean 1 between 5050 and 5150 A.

    Attributes:
        flux: (R, 10600) on ``WAVELENGTH_A``.
        temperature: (R,) effective temperature in K.
        kind: (R,) one of ``main``, ``white_dwarf``, ``carbon``, ``galaxy``, ``template``.
    """

    flux: Floats
    temperature: Floats
    kind: NDArray[np.str_]

    def rows(self, kind: str) -> NDArray[np.int64]:
        """Row numbers of one kind."""
        return np.flatnonzero(self.kind == kind)

    def nearest(self, kind: str, temperature: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
        """A row of a kind for each temperature: (B,) K -> (B,), within 4% where the library is that dense."""
        rows = self.rows(kind)
        rows = rows[np.isfinite(self.temperature[rows])]
        rows = rows[np.argsort(self.temperature[rows])]
        jittered = temperature * np.exp(0.04 * rng.standard_normal(len(temperature)))
        return rows[np.clip(np.searchsorted(self.temperature[rows], jittered), 0, len(rows) - 1)]


def unit_at_5100(flux: Floats) -> Floats:
    """Scale each row of (R, 10600) to mean 1 between 5050 and 5150 A."""
    window = (WAVELENGTH_A > 5050) & (WAVELENGTH_A < 5150)
    return (flux / np.maximum(flux[:, window].mean(1, keepdims=True), 1e-12)).astype(np.float32)


def redshifted(rest_flux: Floats, row: NDArray[np.int64], z: Floats, wavelength_a: Floats) -> Floats:
    """Flux of rest-frame rows seen at redshift z: (R, 10600), (B,), (B,) -> (B, len(wavelength_a))."""
    position = (np.log10(wavelength_a)[None] - np.log10(1 + z)[:, None] - LOG_START) / LOG_STEP
    position = np.clip(position, 0, LOG_PIXELS - 1.001).astype(np.float32)
    left = position.astype(np.int32)
    fraction = position - left
    flat = rest_flux.reshape(-1)
    start = (row[:, None] * LOG_PIXELS + left).astype(np.int64)
    return flat[start] * (1 - fraction) + flat[start + 1] * fraction


def gaussian_lines(
    wavelength_a: Floats, centre_a: Floats, sigma_a: Floats, area: Floats, out: Floats, half_width: int = 0
) -> None:
    """Add one Gaussian a row to ``out`` in place.

    Args:
        wavelength_a: (L,) uniform grid.
        centre_a: (B,) centres.
        sigma_a: (B,) widths.
        area: (B,) integrals over wavelength.
        out: (B, L).
        half_width: Pixels on each side of the centre that are evaluated; 0 evaluates the whole grid.
    """
    step = float(wavelength_a[1] - wavelength_a[0])
    height = area / (np.sqrt(2 * np.pi) * sigma_a)
    seen = (centre_a > wavelength_a[0] - 4 * sigma_a) & (centre_a < wavelength_a[-1] + 4 * sigma_a) & (height != 0)
    row = np.flatnonzero(seen)
    if not len(row):
        return
    if half_width:
        first = np.rint((centre_a[row] - wavelength_a[0]) / step).astype(np.int64)
        pixel = np.clip(first[:, None] + np.arange(-half_width, half_width + 1), 0, len(wavelength_a) - 1)
        x = (wavelength_a[pixel] - centre_a[row, None]) / sigma_a[row, None]
        # Clipped pixels repeat the edge; assignment of the same sum to the same pixel keeps that harmless.
        out[row[:, None], pixel] = out[row[:, None], pixel] + height[row, None] * np.exp(-0.5 * x * x)
    else:
        x = (wavelength_a[None] - centre_a[row, None]) / sigma_a[row, None]
        out[row] += height[row, None] * np.exp(-0.5 * x * x)
