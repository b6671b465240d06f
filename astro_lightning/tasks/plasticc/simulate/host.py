"""What a catalogue knows of an object's place: photometric redshift of the host galaxy and dust in front of it."""

from functools import lru_cache

import numpy as np

from .scene import Floats, Ints


@lru_cache(1)
def _distance_modulus_table() -> tuple[Floats, Floats]:
    from astropy.cosmology import FlatLambdaCDM  # loads slowly

    z = np.geomspace(1e-4, 5.0, 2000)
    return z, FlatLambdaCDM(H0=70, Om0=0.3).distmod(z).value


def distance_modulus(z: Floats) -> Floats:
    """Distance modulus (flat, H0 = 70 km/s/Mpc, Omega_m = 0.3); 0 at z = 0, that is for galactic objects."""
    return np.where(
        z > 0,
        np.interp(np.log(np.maximum(z, 1e-4)), np.log(_distance_modulus_table()[0]), _distance_modulus_table()[1]),
        0.0,
    )


def draw_dust(rng: np.random.Generator, galactic: Ints, deep: Ints) -> Floats:
    """E(B-V) of the Milky Way: more towards galactic objects, little in the deep drilling fields."""
    median = np.where(deep == 1, 0.016, np.where(galactic, 0.12, 0.045))
    scatter = np.where(deep == 1, 0.4, np.where(galactic, 1.1, 0.9))
    return np.clip(median * np.exp(scatter * rng.standard_normal(len(deep))), 0.003, 2.5)


def draw_photoz(rng: np.random.Generator, z: Floats) -> tuple[Floats, Floats]:
    """Photometric redshift of the host and its error; both 0 where `z` is 0, as in the survey.

    A fifth of the hosts are badly measured and half of those are catastrophic outliers anywhere below z = 3.
    """
    poor = rng.random(len(z)) < 0.2
    error = np.where(poor, rng.uniform(0.1, 1.3, len(z)), 0.022 * np.exp(0.6 * rng.standard_normal(len(z))) * (1 + z))
    outlier = poor & (rng.random(len(z)) < 0.5)
    scatter = np.where(poor, 0.2 * error, error) * rng.standard_normal(len(z))
    photoz = np.where(outlier, rng.uniform(0.01, 3.0, len(z)), np.abs(z + scatter))
    return np.where(z > 0, np.maximum(photoz, 0.005), 0.0), np.where(z > 0, error, 0.0)
