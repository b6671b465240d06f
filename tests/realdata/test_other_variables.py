"""Variable stars of EROS-2 and Stripe 82: every star and band is read, and the periods given are those of the curves."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from astropy.timeseries import LombScargle

from astro_lightning.data.records import Records
from astro_lightning.data.surveys.eros2 import Eros2
from astro_lightning.data.surveys.stripe82 import Stripe82


@pytest.mark.parametrize(
    ("survey", "folder", "curves", "stars"),
    [
        (Eros2(), "eros2_ramp", 2 * 3641, {"EB": 439, "Cepheid": 736, "RR_Lyrae": 2231, "Mira": 235}),
        (Stripe82(), "stripe82_rrlyr", 5 * 483, {"RRab": 379, "RRc": 104}),
    ],
)
def test_all_stars_are_read_with_their_types_and_periods(shared_data, survey, folder, curves, stars):
    table = pa.concat_tables(survey.read(shared_data / "scope" / folder))
    records = Records.from_table(table)
    assert len(records) == curves == len(set(table["id"].to_pylist()))
    of_star = dict(zip(table["group"].to_pylist(), table["label"].to_pylist()))
    assert Counter(of_star.values()) == stars
    assert records.ragged["mjd"].lengths.min() > 10
    assert (table["period"].to_numpy() > 0).all()


@pytest.mark.parametrize(
    ("survey", "folder", "kind"),
    [(Eros2(bands=["B"]), "eros2_ramp", "RR_Lyrae"), (Stripe82(bands=["g"]), "stripe82_rrlyr", "RRab")],
)
def test_a_fourier_series_at_the_period_given_follows_the_curve(shared_data, survey, folder, kind):
    table = next(iter(survey.read(shared_data / "scope" / folder)))
    chosen = [row for row in table.slice(0, 60).to_pylist() if row["label"] == kind]
    of = {factor: [explained(row, factor * row["period"]) for row in chosen] for factor in (1, 1.013)}
    assert np.median(of[1]) > 0.6 > 0.3 > np.median(of[1.013])


def explained(row, period_d):
    """Share of the scatter that three harmonics take."""
    periodogram = LombScargle(row["mjd"], row["mag"], row["mag_err"], nterms=3)
    return float(periodogram.power(1 / period_d))
