import numpy as np
import pytest

from astro_lightning.data.bands import wavelengths_nm
from astro_lightning.tasks.plasticc.extinction import BEYOND, LSST, extinction_law

PUBLISHED = {
    "lsst": LSST,
    "des": (np.nan, 3.237, 2.176, 1.595, 1.217, 1.058),
    "sdss": (4.239, 3.303, 2.285, 1.698, 1.263, np.nan),
    "ps1": (np.nan, 3.172, 2.271, 1.682, 1.322, 1.087),
}


@pytest.mark.parametrize("survey", PUBLISHED)
def test_extinction_of_a_surveys_bands_is_the_published_one(survey):
    law, published = extinction_law(wavelengths_nm(survey)), np.array(PUBLISHED[survey])
    known = np.isfinite(published)
    np.testing.assert_allclose(law[known], published[known], rtol=0 if survey == "lsst" else 0.025)


def test_a_band_that_the_survey_lacks_has_lssts_extinction():
    np.testing.assert_array_equal(extinction_law(np.full(6, np.nan)), LSST)


def test_bands_of_other_systems_have_their_own_extinction():
    cyan, orange, *beyond = extinction_law(np.array([533.0, 678.7, 222.4, 270.4, 1248.0, 2201.0]))
    assert LSST[3] < orange < LSST[2] < cyan < LSST[1]
    np.testing.assert_array_equal(beyond, [BEYOND[nm] for nm in (222.4, 270.4, 1248.0, 2201.0)])
