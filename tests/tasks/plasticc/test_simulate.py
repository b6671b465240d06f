import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_val_predict

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.plasticc.simulate import simulate
from astro_lightning.tasks.plasticc.simulate.classes import LABELLED, UNSEEN_KINDS
from astro_lightning.tasks.plasticc.simulate.noise import EXTINCTION
from astro_lightning.tasks.plasticc.simulate.survey import BLOCK

EXTRAGALACTIC = [kind.label for kind in LABELLED if kind.z_median]
GALACTIC = [kind.label for kind in LABELLED if not kind.z_median]


@pytest.fixture(scope="module")
def balanced() -> pa.Table:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return simulate(3 * BLOCK, seed=3, balanced=True, unseen_fraction=0.1)


def epochs(table: pa.Table) -> pd.DataFrame:
    """One row an epoch; `row` counts the objects."""
    frame = pd.DataFrame({"row": pc.list_parent_indices(table["mjd"]).to_numpy()})
    for name in ("mjd", "band", "flux", "flux_err", "detected"):
        frame[name] = pc.list_flatten(table[name]).to_numpy(zero_copy_only=False)
    return frame


def score(features: pd.DataFrame, labels: np.ndarray) -> float:
    model = ExtraTreesClassifier(150, min_samples_leaf=3, random_state=0)
    return balanced_accuracy_score(labels, cross_val_predict(model, features.fillna(-999), labels, cv=4))


def test_schema_and_values(balanced):
    assert {field.name: str(field.type) for field in balanced.schema} == {
        "id": "int64",
        "label": "string",
        "mjd": "list<item: double>",
        "band": "list<item: int8>",
        "flux": "list<item: float>",
        "flux_err": "list<item: float>",
        "detected": "list<item: bool>",
        **dict.fromkeys(["photoz", "photoz_err", "specz", "mwebv", "ddf"], "float"),
        "dereddened": "bool",
    }
    frame = epochs(balanced)
    assert np.isfinite(frame[["mjd", "flux", "flux_err"]]).all(axis=None)
    assert (frame.flux_err > 0).all()
    assert frame.groupby("row").mjd.is_monotonic_increasing.all()
    assert set(frame.band) == set(range(6))
    assert frame.mjd.between(59570, 60680).all()
    assert set(balanced["ddf"].to_pylist()) == {0.0, 1.0}
    assert (frame.groupby("row").detected.sum() >= 2).all()
    assert (frame.detected == (frame.flux.abs() > 5 * frame.flux_err)).all()


def test_fluxes_are_corrected_for_the_galaxys_dust_and_errors_grow_with_it(balanced):
    frame = epochs(balanced)
    frame = frame[frame.band == 1].merge(balanced.select(["mwebv", "ddf"]).to_pandas(), left_on="row", right_index=True)
    noise = np.log10(frame[frame.ddf == 0].groupby("row").flux_err.median())
    dust = 0.4 * EXTINCTION[1] * balanced["mwebv"].to_numpy()[noise.index]
    assert np.polyfit(dust, noise, 1)[0] == pytest.approx(1, abs=0.15)


def test_same_seed_same_table_other_seed_other_table():
    def stored(seed: int) -> bytes:
        table = simulate(200, seed=seed, unlabelled_fraction=0.3, unseen_fraction=0.2)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    assert stored(11) == stored(11)
    assert stored(11) != stored(12)


def test_an_object_does_not_depend_on_how_many_are_asked_for():
    few, many = simulate(50, seed=5), simulate(BLOCK + 10, seed=5)
    assert many.num_rows == BLOCK + 10
    assert few.equals(many.slice(0, 50).combine_chunks())
    assert not many["flux"][0].equals(many["flux"][BLOCK])


def test_no_objects():
    assert simulate(0, seed=1).num_rows == 0


def test_shares_are_those_of_the_training_set():
    counts = simulate(4 * BLOCK, seed=2)["label"].to_pandas().value_counts(normalize=True)
    total = sum(kind.share for kind in LABELLED)
    assert len(counts) == 14
    for kind in LABELLED:
        assert counts[kind.label] == pytest.approx(kind.share / total, abs=0.002)


def test_classes_balance_unseen_and_unlabelled():
    table = simulate(BLOCK, seed=2, classes=["90", "64"], balanced=True, unseen_fraction=0.25, unlabelled_fraction=0.4)
    share = table["label"].to_pandas().value_counts(normalize=True, dropna=True)
    assert set(share.index) == {"90", "64", "99"}
    assert share["99"] == pytest.approx(0.25, abs=0.05)
    assert share["90"] == pytest.approx(share["64"], abs=0.07)
    unlabelled = table["label"].is_null().to_numpy()
    assert unlabelled.mean() == pytest.approx(0.4, abs=0.05)
    assert (np.isnan(table["specz"].to_numpy()) == unlabelled).all()
    assert "99" not in simulate(BLOCK, seed=2)["label"].to_pylist()
    assert simulate(BLOCK, seed=2, unseen_fraction=1.0)["label"].unique().to_pylist() == ["99"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": ["91"]},
        {"classes": []},
        {"classes": ["99"]},
        {"unlabelled_fraction": 1.5},
        {"unseen_fraction": -0.1},
    ],
)
def test_bad_input(wrong):
    with pytest.raises(BadInput):
        simulate(1, seed=0, **wrong)


def test_cadence_is_like_the_survey(balanced):
    frame = epochs(balanced)
    counts = frame.groupby("row").size().to_numpy()
    deep = balanced["ddf"].to_numpy() == 1
    assert 0.2 < deep.mean() < 0.3
    assert 115 < counts[~deep].mean() < 140
    assert counts[~deep].min() >= 90 and counts[~deep].max() <= 165
    assert 290 < counts[deep].mean() < 370
    longest_gap = frame.groupby("row").mjd.agg(lambda mjd: mjd.diff().max())
    assert (longest_gap > 90).all(), "seasons are separated by months"
    # Medians of real wide-fast-deep and deep drilling errors of faint objects, ugrizy.
    median = frame.flux_err.groupby([deep[frame.row], frame.band]).median()
    np.testing.assert_allclose(median[False], [10.1, 2.49, 3.59, 5.93, 13.1, 28.1], rtol=0.25)
    np.testing.assert_allclose(median[True], [2.0, 1.14, 1.13, 1.75, 2.4, 5.7], rtol=0.25)


def test_redshifts(balanced):
    frame = balanced.select(["label", "photoz", "photoz_err", "specz"]).to_pandas()
    galactic = frame.label.isin(GALACTIC)
    assert (frame.loc[galactic, ["photoz", "photoz_err", "specz"]] == 0).all(axis=None)
    far = frame[frame.label.isin(EXTRAGALACTIC)]
    assert (far[["photoz", "photoz_err", "specz"]] > 0).all(axis=None)
    miss = (far.photoz - far.specz).abs() / (1 + far.specz)
    assert miss.median() < 0.03
    assert 0.05 < (miss > 0.15).mean() < 0.2, "catastrophic outliers exist but are few"
    pull = (far.photoz - far.specz)[far.photoz_err < 0.1] / far.photoz_err[far.photoz_err < 0.1]
    assert pull.std() == pytest.approx(1, abs=0.1)
    median = far.groupby("label").specz.median()
    assert median["64"] < median["42"] < median["90"] < median["95"]


def test_noise_is_what_flux_err_says():
    """Long before a type Ia's maximum there is nothing but noise."""
    table = simulate(BLOCK, seed=8, classes=["90"])
    frame = epochs(table)
    first_seen = frame[frame.detected].groupby("row").mjd.min()
    quiet = frame[frame.mjd < frame.row.map(first_seen) - 100]
    pull = quiet.flux / quiet.flux_err
    assert len(pull) > 10_000
    assert pull.mean() == pytest.approx(0, abs=0.02)
    assert pull.std() == pytest.approx(1, abs=0.02)


def test_type_ia_fades_with_redshift_and_lasts_longer():
    table = simulate(4 * BLOCK, seed=8, classes=["90"])
    frame = epochs(table)
    z = table["specz"].to_numpy()
    red = frame[frame.band.isin([2, 3])]
    peak = red.groupby("row").flux.max().reindex(range(len(z))).to_numpy()
    near, far = (z > 0.1) & (z < 0.2), (z > 0.4) & (z < 0.5)
    assert 3 < np.nanmedian(peak[near]) / np.nanmedian(peak[far]) < 20


def test_persistent_sources_vary_on_both_sides_and_transients_do_not(balanced):
    frame = epochs(balanced)
    labels = balanced["label"].to_numpy()
    significant = frame[frame.detected]
    negative = (significant.flux < 0).groupby(labels[significant.row]).mean()
    assert (negative[["92", "53", "88"]] > 0.2).all()
    assert negative["16"] > 0.6, "eclipses take light away"
    assert (negative[["90", "42", "15", "64", "95", "6"]] < 0.01).all()


def test_unseen_kinds_are_all_drawn():
    table = simulate(BLOCK, seed=4, unseen_fraction=1.0)
    galactic = (table["specz"].to_numpy() == 0).mean()
    assert galactic == pytest.approx(1 / len(UNSEEN_KINDS), abs=0.02)


def test_visits_dust_and_number_do_not_tell_the_class_but_light_does(balanced):
    labels = balanced["label"].to_numpy()
    rows = np.flatnonzero(np.isin(labels, EXTRAGALACTIC))
    frame = epochs(balanced)
    visits = frame.groupby("row").mjd.agg(["size", "min", "max", "mean", "std", lambda mjd: mjd.diff().median()])
    visits = pd.concat([visits, frame.groupby(["row", "band"]).size().unstack()], axis=1)
    visits.columns = visits.columns.astype(str)
    for name in ("id", "mwebv", "ddf"):
        visits[name] = balanced[name].to_numpy()
    light = frame.groupby(["row", "band"]).flux.agg(["max", "min", "median", "std", "skew"]).unstack()
    seen = frame[frame.detected].groupby("row").mjd.agg(["size", np.ptp])
    light = np.arcsinh(pd.concat([light, seen], axis=1))
    light.columns = light.columns.map(str)

    chance = 1 / len(EXTRAGALACTIC)
    assert score(visits.iloc[rows], labels[rows]) < chance + 0.03
    assert 3 * chance < score(light.iloc[rows], labels[rows]) < 0.85
