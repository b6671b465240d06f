import math

import numpy as np
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.plasticc import tokenizer_seed
from astro_lightning.tasks.plasticc.tokenizer_seed import day_bins, flux_tokens


@pytest.mark.parametrize(
    ("flux", "token"),
    [
        (0.0, 200),
        (0.5, 201),
        (-0.5, 199),
        (1e-30, 201),
        (1.0, 202),
        (-1.0, 198),
        (1.1, 203),
        (-1.1, 197),
        (1.15, 203),
        (-1.15, 197),
        (2.0, 209),
        (-2.0, 191),
        (1.37e7, 374),
        (-8.9e6, 31),
        (-9.0e6, 30),
        (1e300, 399),
        (-1e300, 3),
    ],
)
def test_flux_token(flux, token):
    assert flux_tokens(np.array([flux])).tolist() == [token]


def test_flux_tokens_agree_with_the_scalar_formula():
    rng = np.random.default_rng(0)
    flux = rng.choice([-1, 1], 5000) * 10 ** rng.uniform(-2, 8, 5000)
    expected = [
        200 + int(math.copysign(1, f))
        if abs(f) < 1
        else min(399, 202 + int(math.log(f, 1.1)))
        if f > 0
        else max(3, 198 - int(math.log(-f, 1.1)))
        for f in flux
    ]
    assert flux_tokens(flux).tolist() == expected


def test_flux_that_is_not_finite_is_refused():
    with pytest.raises(BadInput, match="1 values are not finite"):
        flux_tokens(np.array([1.0, np.nan]))


def test_special_ids_are_distinct_and_no_flux_ids():
    special = {tokenizer_seed.PAD, tokenizer_seed.CLS, tokenizer_seed.SEP, tokenizer_seed.MASK}
    assert len(special) == 4
    assert special.isdisjoint(range(tokenizer_seed.FIRST_FLUX, tokenizer_seed.LAST_FLUX + 1))
    assert max(special) < tokenizer_seed.N_TOKENS


def test_days_outside_go_to_the_ends_and_are_counted():
    days, n_outside = day_bins(np.array([59574.9, 59575.0, 59576.999, 60774.9, 60775.0]))
    assert days.tolist() == [0, 0, 1, 1199, 1199]
    assert n_outside == 2


def test_days_of_another_survey_by_another_origin():
    days, n_outside = day_bins(np.array([56001.5, 57000.0]), np.array([56000.0, 56990.0]))
    assert days.tolist() == [1, 10]
    assert n_outside == 0
