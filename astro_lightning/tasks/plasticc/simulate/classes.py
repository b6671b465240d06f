"""The kinds of objects: PLAsTiCC's target numbers, their shares of its training set, the family that lights each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import transients, variables
from .scene import Floats, Scene

UNSEEN = "99"


@dataclass(frozen=True)
class Population:
    """One kind of object.

    Attributes:
        label: PLAsTiCC's target number.
        share: relative number of objects.
        family: light of the source.
        z_median: median redshift before selection; 0 = galactic.
        seen_day: rest-frame days around time zero within which one visit of the survey falls.
    """

    label: str
    share: float
    family: Callable[[Scene], tuple[Floats, Floats]]
    z_median: float = 0.0
    seen_day: tuple[float, float] = (0.0, 0.0)


_FAINT_IA = partial(
    transients.thermonuclear, magnitude=-17.1, scatter=0.35, stretch=0.72, bump=0.0, temperature_k=7600.0
)
_IAX = partial(transients.thermonuclear, magnitude=-17.3, scatter=0.7, stretch=0.8, bump=0.05, temperature_k=10000.0)
_SUPERLUMINOUS = partial(
    transients.stripped,
    magnitude=-21.6, scatter=0.6, rise_day=14.0, fall_day=38.0, temperature_k=17000.0, cool_k=6000.0, blanket_nm=270.0,
)  # fmt: skip
_PAIR_INSTABILITY = partial(
    transients.stripped,
    magnitude=-21.0, scatter=0.5, rise_day=40.0, fall_day=110.0, temperature_k=10500.0, cool_k=6000.0, blanket_nm=340.0,
)  # fmt: skip
_CALCIUM_RICH = partial(
    transients.stripped,
    magnitude=-16.3, scatter=0.4, rise_day=3.0, fall_day=8.5, temperature_k=7000.0, cool_k=4200.0, nebula=0.8,
)  # fmt: skip
_INTERMEDIATE = partial(
    transients.plateau, magnitude=-13.0, scatter=0.8, length_day=45.0, hot_k=7000.0, cool_k=2900.0, rise_day=4.0
)

LABELLED = (
    Population("90", 2313, transients.thermonuclear, 0.36, (-14, 35)),
    Population("42", 1193, transients.plateau, 0.20, (-2, 90)),
    Population("65", 981, variables.flare_star),
    Population("16", 924, variables.eclipsing_binary),
    Population("15", 495, transients.tidal_disruption, 0.26, (-20, 60)),
    Population("62", 484, transients.stripped, 0.19, (-12, 30)),
    Population("88", 370, variables.active_galaxy, 0.80),
    Population("92", 239, variables.rr_lyrae),
    Population("67", 208, _FAINT_IA, 0.20, (-10, 20)),
    Population("52", 183, _IAX, 0.20, (-10, 25)),
    Population("95", 175, _SUPERLUMINOUS, 1.15, (-30, 70)),
    Population("6", 151, variables.microlensing, 0.0, (-40, 40)),
    Population("64", 102, transients.kilonova, 0.07, (0.1, 3)),
    Population("53", 30, variables.mira),
)
UNSEEN_KINDS = (
    Population(UNSEEN, 1, variables.binary_lens, 0.0, (-40, 40)),
    Population(UNSEEN, 1, _INTERMEDIATE, 0.02, (-5, 45)),
    Population(UNSEEN, 1, _CALCIUM_RICH, 0.10, (-6, 15)),
    Population(UNSEEN, 1, _PAIR_INSTABILITY, 0.80, (-60, 120)),
)
