"""Which observations are of one object: those that lie together on the sky."""

import itertools

import numpy as np

RADIUS_ARCSEC = 3.0


class Places:
    """Names of the places seen so far; an observation within 3 arcsec of one is of the same object."""

    def __init__(self) -> None:
        self._radius = np.deg2rad(RADIUS_ARCSEC / 3600)
        self._cells: dict[tuple[int, ...], list[tuple[np.ndarray, str]]] = {}

    def name(self, ra_deg: float, dec_deg: float) -> str:
        """Name of the nearest place within the radius, else of a new one here."""
        ra, dec = np.deg2rad([ra_deg, dec_deg])
        here = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
        cell = np.floor(here / self._radius).astype(int).tolist()
        around = itertools.product(*((i - 1, i, i + 1) for i in cell))
        near = [
            (float(np.linalg.norm(here - there)), name) for key in around for there, name in self._cells.get(key, ())
        ]
        distance, name = min(near, default=(np.inf, ""))
        if distance > self._radius:
            name = f"{ra_deg:.4f}{dec_deg:+.4f}"
            self._cells.setdefault(tuple(cell), []).append((here, name))
        return name
