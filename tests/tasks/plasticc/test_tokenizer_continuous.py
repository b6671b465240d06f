import numpy as np
import pytest
import torch

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.tasks.plasticc.data import CurveBatches, CurvesData
from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.simulate import simulate
from astro_lightning.tasks.plasticc.tokenizer_continuous import ContinuousTokenizer, fit_flux_scale

METADATA = {
    "photoz": np.array([0.5, 0.0, np.nan, 1.2]),
    "photoz_err": np.array([0.05, 0.0, np.nan, 0.3]),
    "mwebv": np.array([0.02, 0.1, 0.3, np.nan]),
}


def test_features_are_those_of_each_observation(make_curves):
    curves = make_curves()
    batch = ContinuousTokenizer(flux_scale=10.0)(curves, METADATA)
    assert batch["features"].shape == (4, 140, 4)
    assert batch["mask"].sum(dim=1).tolist() == curves.lengths.tolist()
    row, column = 1, 7
    i = curves.offsets[row] + column
    flux, err = float(curves.flux[i]), float(curves.flux_err[i])
    expected = [np.arcsinh(flux / 10), np.arcsinh(flux / err), np.log(err / 10), float(curves.detected[i])]
    assert batch["features"][row, column].tolist() == pytest.approx(expected, rel=1e-5)
    assert batch["band"][row, column] == curves.band[i]


def test_metadata_is_known_or_hidden(make_curves):
    batch = ContinuousTokenizer(flux_scale=10.0)(make_curves(), METADATA)
    known = [
        [True, True, True, False],
        [True, True, True, False],
        [False, False, True, False],
        [True, True, False, False],
    ]
    assert batch["metadata_known"].tolist() == known
    assert batch["metadata"][0].tolist() == pytest.approx([0.5, 0.5, 0.2, 0.0])
    assert torch.isfinite(batch["metadata"]).all()


def test_metadata_dropout_only_in_training(make_curves):
    curves = make_curves(np.full(400, 2))
    metadata = {name: np.full(400, 0.5) for name in ("photoz", "photoz_err", "mwebv", "ddf")}
    tokenizer = ContinuousTokenizer(flux_scale=10.0, metadata_dropout=0.3)
    known = tokenizer(curves, metadata, np.random.default_rng(0))["metadata_known"]
    assert known.float().mean().item() == pytest.approx(0.7**2, abs=0.05)
    assert (~known).all(dim=1).float().mean() > 0.25
    assert tokenizer(curves, metadata)["metadata_known"].all()


@pytest.mark.parametrize("origin", ["detection", "peak"])
def test_absolute_time_is_no_input(make_curves, origin):
    curves = make_curves()
    later = curves.with_columns(mjd=curves.mjd + 4096.0)
    tokenizer = ContinuousTokenizer(flux_scale=10.0, origin=origin)
    before, after = tokenizer(curves, METADATA), tokenizer(later, METADATA)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_time_keeps_seconds_after_the_cast(make_curves):
    curves = make_curves((2,)).with_columns(
        mjd=np.array([60000.0, 60000.0 + 1 / 86400]), detected=np.ones(2, dtype=bool)
    )
    time = ContinuousTokenizer(flux_scale=10.0)(curves, {})["time"][0]
    assert time.tolist() == pytest.approx([0.0, 1 / 86400], rel=1e-4)


def test_origin_shifts_in_training_only(make_curves):
    curves = make_curves()
    tokenizer = ContinuousTokenizer(flux_scale=10.0, shift_days=20.0)
    still = tokenizer(curves, {})["time"][:, :5]
    shift = tokenizer(curves, {}, np.random.default_rng(3))["time"][:, :5] - still
    assert torch.allclose(shift, shift[:, :1].expand_as(shift), atol=1e-3)
    assert 0 < shift.abs().max() <= 20.01
    assert len(shift[:, 0].unique()) == 4


@pytest.mark.parametrize("column", ["flux", "flux_err"])
def test_values_that_are_not_numbers_are_refused(make_curves, column):
    curves = make_curves()
    values = getattr(curves, column).copy()
    values[curves.offsets[2]] = np.nan if column == "flux" else 0
    with pytest.raises(BadInput, match="object 2 of the batch"):
        ContinuousTokenizer(flux_scale=10.0)(curves.with_columns(**{column: values}), {})


def test_band_without_wavelength_is_refused(make_curves):
    with pytest.raises(BadInput, match="wavelength_nm"):
        ContinuousTokenizer(flux_scale=10.0, wavelength_nm=(480.0, 620.0))(make_curves(), {})


def test_objects_without_observations_or_metadata(make_curves):
    batch = ContinuousTokenizer(flux_scale=10.0, metadata=())(make_curves((0, 0)), {}, np.random.default_rng(0))
    assert batch["features"].shape == (2, 1, 4)
    assert not batch["mask"].any()
    assert batch["metadata"].shape == (2, 0)


def test_flux_scale_is_robust():
    assert fit_flux_scale(np.array([1.0, 2.0, 3.0, 1e9, 2.0])) == 2.0


@pytest.mark.parametrize(("reader", "r_nm"), [("spcc.Spcc", 637.1), ("mallorn.Mallorn", 623.1)])
def test_a_band_has_the_wavelength_of_its_own_survey(reader, r_nm):
    records = Records.from_table(simulate(n_objects=6, seed=0))
    data = {"reader": {"_target_": f"astro_lightning.data.surveys.{reader}"}}
    made = CurvesData(tokenizer={"kind": "continuous"}, data=data, cache="/nowhere")
    info = {"classes": [], **made.statistics(records, np.arange(6))}
    batch = CurveBatches(records, info, train=False)[(np.arange(6), 0)]
    assert batch["wavelength_nm"][batch["mask"] & (batch["band"] == 2)].unique().tolist() == pytest.approx([r_nm])


def test_batches_begin_at_the_chosen_origin_and_chance_is_for_training_alone():
    records = Records.from_table(simulate(n_objects=12, seed=0))
    rows, info = np.arange(12), {"classes": [], "flux_scale": 10.0, "first_mjd": 0.0}
    random = {"kind": "continuous", "origin": "peak", "shift_days": 20.0, "metadata_dropout": 0.5}
    tested, trained = (CurveBatches(records, info | {"tokenizer": random}, train=train) for train in (False, True))
    first, second = tested[(rows, 1)], tested[(rows, 2)]
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(trained[(rows, 1)]["time"], first["time"])
    assert not torch.equal(trained[(rows, 1)]["metadata_known"], first["metadata_known"])
    curves = LightCurves.of(records, rows)
    for origin, mjd in (("peak", curves.mjd_of_highest_snr()), ("detection", curves.mjd_of_first_detection())):
        made = CurveBatches(records, info | {"tokenizer": random | {"origin": origin}}, train=False)[(rows, 0)]
        np.testing.assert_allclose(made["time"][:, 0], curves.mjd[curves.offsets[:-1]] - mjd, atol=1e-3)
    assert (curves.mjd_of_highest_snr() != curves.mjd_of_first_detection()).any()
