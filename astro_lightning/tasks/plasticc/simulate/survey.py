"""One simulated survey: visits first, then sources, until each is detected, then records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from astro_lightning.data.errors import BadInput

from .cadence import Cadence, draw_cadence
from .classes import LABELLED, UNSEEN_KINDS, Population
from .host import distance_modulus, draw_dust, draw_photoz
from .noise import DETECTION_SNR, EXTINCTION, ZERO_POINT, observe
from .scene import BAND_WAVELENGTH_NM, Floats, Ints, Scene

DEEP_SHARE = 0.25
MIN_DETECTIONS = 2
# Objects are drawn in blocks with a seed of their own, so that none depends on how many others are asked for.
BLOCK = 1024
# Objects not yet detected are redrawn, twice as often in each round, and nearer or brighter in the later ones.
MAX_ROUNDS = 40
MAX_ATTEMPTS = 32
NEARER_PER_ROUND = 0.93


@dataclass(frozen=True)
class Sky:
    """What is settled of a block of objects before anything shines.

    Attributes:
        cadence: the visits.
        deep: `(n_objects,)` 1 = deep drilling field.
        mwebv: `(n_objects,)` E(B-V) of the Milky Way.
    """

    cadence: Cadence
    deep: Ints
    mwebv: Floats


def simulate(
    n_objects: int,
    seed: int,
    classes: Sequence[str] | None = None,
    unlabelled_fraction: float = 0.0,
    unseen_fraction: float = 0.0,
    balanced: bool = False,
) -> pa.Table:
    """Draw light curves of an LSST-like survey with PLAsTiCC's labels.

    Visits, dust and field are drawn before and apart from the source, which is redrawn until at least two epochs are
    detected; so they tell nothing of the class beyond galactic (photo-z 0, more dust) or extragalactic. Flux has
    the zero point 27.5, is the difference to a template and, as the survey's, corrected for the dust of `mwebv`, its
    error too; `detected` is |flux| > 5 flux_err.

    Args:
        n_objects: number of rows. Row `i` is the same for every `n_objects > i`.
        seed: same seed, same table, bit by bit; not negative.
        classes: PLAsTiCC's target numbers to draw from, by default all 14 labelled ones.
        unlabelled_fraction: share of rows whose label and spectroscopic redshift are withheld (null, NaN).
        unseen_fraction: share of rows of kinds that are in no labelled class (label "99").
        balanced: draw all classes equally often rather than as in PLAsTiCC's training set.

    Returns:
        Records, one row an object:
        `id, label, mjd, band, flux, flux_err, detected, photoz, photoz_err, specz, mwebv, ddf, dereddened`.

    Raises:
        BadInput: unknown class, negative count or seed, or a fraction outside 0..1.
    """
    for name, value in {"n_objects": n_objects, "seed": seed}.items():
        if value < 0:
            raise BadInput(f"{name} = {value}: must not be negative")
    for name, fraction in {"unlabelled_fraction": unlabelled_fraction, "unseen_fraction": unseen_fraction}.items():
        if not 0 <= fraction <= 1:
            raise BadInput(f"{name} = {fraction}: must lie between 0 and 1")
    populations = _populations(classes, unseen_fraction, balanced)
    blocks = [
        _block(np.random.default_rng([seed, index]), index * BLOCK, populations, unlabelled_fraction)
        for index in range(max(1, -(-n_objects // BLOCK)))
    ]
    return pa.concat_tables(blocks).slice(0, n_objects).combine_chunks()


def _populations(classes: Sequence[str] | None, unseen_fraction: float, balanced: bool) -> list[Population]:
    known = {population.label: population for population in LABELLED}
    wanted = list(known) if classes is None else list(dict.fromkeys(map(str, classes)))
    if not wanted or not known.keys() >= set(wanted):
        raise BadInput(f"classes = {wanted}: choose from {', '.join(known)} (unseen kinds: unseen_fraction > 0)")

    def rescaled(kinds: Sequence[Population], total: float) -> Iterator[Population]:
        shares = np.array([1.0 if balanced else kind.share for kind in kinds])
        return (replace(kind, share=share) for kind, share in zip(kinds, total * shares / shares.sum()))

    return [
        *rescaled([known[label] for label in wanted], 1 - unseen_fraction),
        *rescaled(UNSEEN_KINDS, unseen_fraction),
    ]


def _block(
    rng: np.random.Generator, first_id: int, populations: list[Population], unlabelled_fraction: float
) -> pa.Table:
    # Evenly spaced quantiles keep the shares of a block as close to the wanted ones as whole numbers can be.
    quantile = (rng.permutation(BLOCK) + rng.random()) / BLOCK
    edges = np.cumsum([population.share for population in populations])
    kind = np.searchsorted(edges[:-1] / edges[-1], quantile, side="right")
    galactic = np.array([population.z_median == 0 for population in populations])[kind]
    deep = (rng.random(BLOCK) < DEEP_SHARE).astype(np.int64)
    sky = Sky(draw_cadence(rng, deep), deep, draw_dust(rng, galactic, deep))

    z = np.zeros(BLOCK)
    flux, flux_err = np.zeros((2, len(sky.cadence.mjd)), dtype=np.float32)
    for index, population in enumerate(populations):
        for rows, epochs, redshift, seen, sigma in _detected(rng, population, np.flatnonzero(kind == index), sky):
            z[rows], flux[epochs], flux_err[epochs] = redshift, seen, sigma

    photoz, photoz_err = draw_photoz(rng, z)
    unlabelled = rng.random(BLOCK) < unlabelled_fraction
    labels = np.array([population.label for population in populations], dtype=object)[kind]
    offsets = pa.array(sky.cadence.offsets, pa.int32())
    epoch_columns = {
        "mjd": sky.cadence.mjd,
        "band": sky.cadence.band.astype(np.int8),
        "flux": flux,
        "flux_err": flux_err,
        "detected": np.abs(flux) > DETECTION_SNR * flux_err,
    }
    object_columns = {
        "photoz": photoz,
        "photoz_err": photoz_err,
        "specz": np.where(unlabelled, np.nan, z),
        "mwebv": sky.mwebv,
        "ddf": deep,
    }
    return pa.table(
        {
            "id": pa.array(first_id + np.arange(BLOCK), pa.int64()),
            "label": pa.array(labels, pa.string(), mask=unlabelled),
        }
        | {name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in epoch_columns.items()}
        | {name: pa.array(values.astype(np.float32)) for name, values in object_columns.items()}
        | {"dereddened": pa.array(np.ones(BLOCK, bool))}
    )


def _detected(
    rng: np.random.Generator, population: Population, rows: Ints, sky: Sky
) -> Iterator[tuple[Ints, Ints, Floats, Floats, Floats]]:
    """Draw sources for `rows` until the survey detects each.

    Yields:
        Objects found in a round, their epochs in the cadence, the objects' redshifts, the epochs' flux and its error.
    """
    attempts = 1
    for step in range(MAX_ROUNDS):
        if not len(rows):
            return
        tried = np.repeat(rows, attempts)
        scene, epochs = _scene(rng, population, tried, sky.cadence, step)
        source, reference = population.family(scene)
        extinction = EXTINCTION[scene.band] * sky.mwebv[tried][scene.row]
        dimming = distance_modulus(scene.z)[scene.row] + extinction - ZERO_POINT
        arriving = 10 ** (-0.4 * dimming) * (1 + scene.z[scene.row])
        seen, sigma = observe(
            rng,
            source * arriving,
            reference * arriving,
            sky.cadence.sky_sigma[epochs],
            scene.band,
            sky.deep[tried][scene.row],
        )
        # What the dust took is given back, in the precision that is kept.
        dust = (10 ** (0.4 * extinction)).astype(np.float32)
        seen, sigma = seen * dust, sigma * dust
        significant = np.abs(seen) > DETECTION_SNR * sigma
        good = np.flatnonzero(np.add.reduceat(significant, scene.offsets[:-1], dtype=np.int64) >= MIN_DETECTIONS)
        found, first = np.unique(tried[good], return_index=True)
        kept = np.isin(scene.row, good[first])
        yield found, epochs[kept], scene.z[good[first]], seen[kept], sigma[kept]
        rows = np.setdiff1d(rows, found, assume_unique=True)
        attempts = min(2 * attempts, MAX_ATTEMPTS)
    if len(rows):
        raise RuntimeError(f"class {population.label}: {len(rows)} objects stay undetected after {MAX_ROUNDS} rounds")


def _scene(
    rng: np.random.Generator, population: Population, rows: Ints, cadence: Cadence, step: int
) -> tuple[Scene, Ints]:
    """Place one source of a population into the visits of each of `rows`; also returns its epochs in the cadence."""
    counts = np.diff(cadence.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    row = np.repeat(np.arange(len(rows)), counts)
    epochs = np.arange(offsets[-1]) + (cadence.offsets[rows] - offsets[:-1])[row]
    mjd, band = cadence.mjd[epochs], cadence.band[epochs]
    # Between the growth of the volume and what a spectroscopic follow-up picks; 0.8636 is this distribution's median.
    z = (population.z_median * rng.weibull(2.5, len(rows)) / 0.8636).clip(min=0.004) * NEARER_PER_ROUND**step
    z = z if population.z_median else np.zeros(len(rows))
    visit = mjd[offsets[:-1] + (rng.random(len(rows)) * counts).astype(np.int64)]
    zero_mjd = visit - (1 + z) * rng.uniform(*population.seen_day, len(rows))
    rest = 1 / (1 + z)[row]
    scene = Scene(
        rng=rng,
        offsets=offsets,
        row=row,
        mjd=mjd,
        band=band,
        day=(mjd - zero_mjd[row]) * rest,
        wavelength_nm=BAND_WAVELENGTH_NM[band] * rest,
        z=z,
        step=np.full(len(rows), step),
    )
    return scene, epochs
