"""The synthetic twin: stars, galaxies, quasars and unknown spectra as a survey would deliver them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from astro_lightning.tasks.spectra.galaxies import draw_galaxies
from astro_lightning.tasks.spectra.library import Floats, Library
from astro_lightning.tasks.spectra.observe import observe
from astro_lightning.tasks.spectra.quasars import draw_quasars
from astro_lightning.tasks.spectra.stars import draw_stars, stellar_library
from astro_lightning.tasks.spectra.templates import with_templates
from astro_lightning.tasks.spectra.unknown import DRAW, EMPTY, LEARNT, empty_fibres

CLASSES = ("STAR", "GALAXY", "QSO", "UNKNOWN")
GRID_A = (3800 + 2 * np.arange(2600)).astype(np.float32)
CHUNK = 500


class Twin:
    """Seeded generator of spectra on the grid 3800 + 2 i A.

    Args:
        templates: Folder of template spectra (Pickles and Kinney FITS, SDSS ``spEigenStar``) that are
            mixed into the parametric library; None uses the parametric library alone.
        min_snr: Lowest median signal-to-noise ratio per pixel; drawn log-uniformly.
        max_snr: Highest.
        kinds: Share of each kind among UNKNOWN spectra, see `unknown.DRAW`; None = the kinds that teach.
    """

    def __init__(
        self,
        templates: Path | None = None,
        min_snr: float = 2.0,
        max_snr: float = 80.0,
        kinds: Mapping[str, float] | None = None,
    ) -> None:
        library = stellar_library()
        self.library: Library = with_templates(library, Path(templates)) if templates else library
        self.min_snr, self.max_snr = min_snr, max_snr
        self.kinds = list(kinds or LEARNT)
        self.shares = np.array(list((kinds or LEARNT).values()), float)

    def draw(self, label: np.ndarray, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Draw one spectrum for each class index in ``label`` (n,).

        Returns:
            Flux (n, 2600), inverse variance (n, 2600; 0 = no data), redshift (n,; NaN for UNKNOWN), S/N (n,).
        """
        parts = [
            self._chunk(label[start : start + CHUNK], np.random.default_rng([seed, start]))
            for start in range(0, len(label), CHUNK)
        ]
        flux, ivar, z, snr = (np.concatenate(part) for part in zip(*parts, strict=True))
        return flux, ivar, z, snr

    def _chunk(self, label: np.ndarray, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
        n = len(label)
        flux = np.ones((n, len(GRID_A)), np.float32)
        z = np.full(n, np.nan, np.float32)
        for index, draw in enumerate((draw_stars, draw_galaxies, draw_quasars)):
            row = np.flatnonzero(label == index)
            if len(row):
                flux[row], z[row] = draw(len(row), self.library, GRID_A, rng)
        snr = np.exp(rng.uniform(np.log(self.min_snr), np.log(self.max_snr), n)).astype(np.float32)
        kind = np.full(n, "", object)
        unknown = np.flatnonzero(label == CLASSES.index("UNKNOWN"))
        kind[unknown] = rng.choice(self.kinds, len(unknown), p=self.shares / self.shares.sum())
        for name in self.kinds:
            row = np.flatnonzero(kind == name)
            if len(row):
                flux[row] = DRAW[name](len(row), self.library, GRID_A, rng)
        empty = np.flatnonzero(np.isin(kind, EMPTY))
        snr[empty] = 1.0
        flux, ivar = observe(flux, snr, GRID_A, rng)
        if len(empty):
            sky, weight = flux[empty], ivar[empty]
            empty_fibres(sky, weight, kind[empty] == "junk", GRID_A, rng)
            flux[empty] = sky
        return flux, ivar, z, snr


def simulate(
    n_objects: int,
    seed: int,
    fractions: tuple[float, float, float, float] = (0.32, 0.28, 0.3, 0.1),
    templates: Path | None = None,
    min_snr: float = 2.0,
    max_snr: float = 80.0,
    kinds: Mapping[str, float] | None = None,
) -> pa.Table:
    """Records of synthetic spectra.

    Args:
        n_objects: Number of records.
        seed: Seed; equal seeds give equal records.
        fractions: Shares of STAR, GALAXY, QSO and UNKNOWN.
        templates: See ``Twin``.
        min_snr: See ``Twin``.
        max_snr: See ``Twin``.
        kinds: See ``Twin``.

    Returns:
        Columns id, label, z, snr, zwarning, survey, flux and ivar (fixed-size lists of 2600).
    """
    share = np.asarray(fractions) / np.sum(fractions)
    label = np.random.default_rng([seed, 1]).choice(4, n_objects, p=share)
    flux, ivar, z, snr = Twin(templates, min_snr, max_snr, kinds).draw(label, seed)
    return pa.table(
        {
            "id": pa.array([f"twin-{seed}-{i}" for i in range(n_objects)]),
            "label": pa.array(np.asarray(CLASSES)[label]),
            "z": z,
            "snr": snr,
            "zwarning": np.zeros(n_objects, np.int32),
            "survey": pa.array(["TWIN"] * n_objects),
            "flux": pa.FixedSizeListArray.from_arrays(flux.ravel(), flux.shape[1]),
            "ivar": pa.FixedSizeListArray.from_arrays(ivar.ravel(), ivar.shape[1]),
        }
    )
