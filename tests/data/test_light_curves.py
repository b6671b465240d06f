import logging

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_schema import record_schema

from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import (
    METADATA,
    choose_columns,
    identifiers,
    to_objects,
    to_observations,
    to_records,
)

LISTS = ("mjd", "band", "flux", "flux_err", "detected")


def photometry(rows, names=("object_id", "mjd", "passband", "flux", "flux_err")):
    return pa.table({name: list(values) for name, values in zip(names, zip(*rows))})


def records(rows, objects=None, **options):
    return to_records(to_observations(photometry(rows), "lsst", **options), objects)


def test_schema_types_and_order():
    table = records([(7, 2.0, 1, 10.0, 1.0), (3, 1.0, 0, 4.0, 1.0), (7, 1.0, 5, -60.0, 1.0)])
    assert table.schema.equals(record_schema())
    assert table.drop_columns(list(METADATA)).to_pylist() == [
        {
            "id": 7,
            "label": None,
            "mjd": [1, 2],
            "band": [5, 1],
            "flux": [-60, 10],
            "flux_err": [1, 1],
            "detected": [True] * 2,
        },
        {"id": 3, "label": None, "mjd": [1], "band": [0], "flux": [4], "flux_err": [1], "detected": [False]},
    ]
    assert all(np.isnan(table[name].to_numpy()).all() for name in METADATA)


def test_mjd_keeps_float64_precision():
    mjd = 59750.42291234
    assert records([(1, mjd, 0, 1.0, 1.0)])["mjd"][0].as_py() == [mjd]


def test_metadata_fixes_the_order_and_keeps_objects_without_photometry():
    objects = to_objects(pa.array([5, 3, 7]), {"label": ["a", "b", None], "photoz": [0.1, None, 0.3]})
    table = records([(7, 1.0, 0, 1.0, 1.0), (5, 1.0, 1, 2.0, 1.0)], objects)
    assert table["id"].to_pylist() == [5, 3, 7]
    assert table["flux"].to_pylist() == [[2.0], [], [1.0]]
    assert table["label"].to_pylist() == ["a", "b", None]
    assert np.isnan(table["photoz"][1].as_py()) and table["photoz"].null_count == 0


def test_photometry_without_metadata_row_is_kept_at_the_end_with_a_warning(caplog):
    table = records([(9, 1.0, 0, 1.0, 1.0), (5, 1.0, 1, 2.0, 1.0)], to_objects(pa.array([5]), {"mwebv": [0.2]}))
    assert table["id"].to_pylist() == [5, 9]
    assert table["flux"].to_pylist() == [[2.0], [1.0]]
    assert np.isnan(table["mwebv"][1].as_py())
    assert "1 objects (first: 9) have no metadata row" in caplog.text


def test_group_of_an_object_without_metadata_row_is_itself():
    objects = to_objects(pa.array([5]), {"group": [1], "spec_subset": [True]})
    table = records([(9, 1.0, 0, 1.0, 1.0), (5, 1.0, 1, 2.0, 1.0)], objects)
    assert table["group"].to_pylist() == [1, 9] and table["spec_subset"].to_pylist() == [True, False]


def test_repeated_metadata_row_is_refused():
    with pytest.raises(BadInput, match=r"object 5 has several rows in the metadata \(1 do\)"):
        records([(5, 1.0, 0, 1.0, 1.0)], to_objects(pa.array([5, 6, 5]), {}))


def test_ids_of_two_types_are_refused():
    with pytest.raises(BadInput, match="int64 in the photometry and string in the metadata"):
        records([(5, 1.0, 0, 1.0, 1.0)], to_objects(pa.array(["5"]), {}))


@pytest.mark.parametrize(
    ("mjd", "flux", "flux_err"),
    [
        (1.0, np.nan, 1.0),
        (1.0, np.inf, 1.0),
        (1.0, 1e300, 1.0),
        (1.0, 9.97e36, 1.0),
        (1.0, 1.0, 9.97e36),
        (1.0, None, 1.0),
        (1.0, 1.0, np.nan),
        (1.0, 1.0, 0.0),
        (1.0, 1.0, -9.0),
        (1.0, 1.0, np.inf),
        (np.nan, 1.0, 1.0),
    ],
)
def test_unusable_observations_are_dropped_and_counted(caplog, mjd, flux, flux_err):
    table = records([(1, 5.0, 0, 2.0, 1.0), (1, mjd, 1, flux, flux_err), (2, mjd, 1, flux, flux_err)])
    assert table["id"].to_pylist() == [1, 2]
    assert table["flux"].to_pylist() == [[2.0], []]
    assert "2 of 3 observations dropped" in caplog.text


def test_clean_data_warn_of_nothing(caplog):
    with caplog.at_level(logging.DEBUG):
        records([(1, 1.0, 0, 1.0, 1.0), (1, 1.0, 1, 1.0, 1.0), (2, 1.0, 1, 1.0, 1.0)])
    assert not caplog.records


def test_of_repeated_observations_the_most_precise_stays(caplog):
    rows = [
        (1, 2.0, 0, 9.0, 3.0),
        (1, 2.0, 0, 5.0, 1.0),
        (1, 2.0, 0, 7.0, 2.0),
        (1, 2.0, 1, 8.0, 3.0),
        (2, 2.0, 0, 1.0, 3.0),
    ]
    table = records(rows)
    assert table["flux"].to_pylist() == [[5.0, 8.0], [1.0]]
    assert table["flux_err"].to_pylist() == [[1.0, 3.0], [3.0]]
    assert "2 repeated observations" in caplog.text
    equal = [(1, 2.0, 0, 9.0, 1.0), (1, 2.0, 0, 5.0, 1.0)]
    assert records(equal)["flux"].to_pylist() == records(equal[::-1])["flux"].to_pylist() == [[5.0]]


@pytest.mark.parametrize("name", ["detected", "detected_bool"])
@pytest.mark.parametrize("values", [[1, 0, None], [True, False, None], ["True", "false", None]])
def test_detected_of_the_survey_is_taken(name, values):
    table = photometry([(1, 1.0, 0, 0.0, 1.0), (1, 2.0, 0, 99.0, 1.0), (1, 3.0, 0, 99.0, 1.0)])
    table = table.append_column(name, pa.array(values))
    assert to_records(to_observations(table, "lsst"))["detected"].to_pylist() == [[True, False, False]]


def test_detected_by_default_is_beyond_five_sigma_either_way():
    table = records([(1, 1.0, 0, 5.1, 1.0), (1, 2.0, 0, -5.1, 1.0), (1, 3.0, 0, 5.0, 1.0), (1, 4.0, 0, 9.0, 2.0)])
    assert table["detected"].to_pylist() == [[True, True, False, False]]


def test_magnitudes_become_flux_of_zero_point_27_5():
    table = photometry([(1, 1.0, 1, 20.0, 0.01)], ("objectid", "hmjd", "filterid", "mag", "magerr"))
    got = to_observations(table, "ztf")
    assert got["flux"][0].as_py() == pytest.approx(1000.0, rel=1e-6)
    assert got["flux_err"][0].as_py() == pytest.approx(1000 * 0.01 * 0.4 * np.log(10), rel=1e-6)
    assert 27.5 - 2.5 * np.log10(got["flux"][0].as_py()) == pytest.approx(20.0, abs=1e-6)


def test_microjansky_become_flux_of_zero_point_27_5():
    got = to_observations(photometry([(1, 1.0, 1, 1.0, 0.1)]), "lsst", zero_point=23.9)
    assert 27.5 - 2.5 * np.log10(got["flux"][0].as_py()) == pytest.approx(23.9, abs=1e-6)
    assert got["flux"][0].as_py() / got["flux_err"][0].as_py() == pytest.approx(10, rel=1e-6)


def test_missing_column_names_file_column_and_what_was_found():
    table = photometry([(1, 1.0, 1, 1.0)], ("object_id", "mjd_rel", "passband", "flux"))
    with pytest.raises(BadInput) as caught:
        to_observations(table, "lsst", where="curves.csv")
    message = str(caught.value)
    assert message.startswith("curves.csv: missing column mjd (mjd or") and "flux_err (flux_err or" in message
    assert message.endswith("found object_id, mjd_rel, passband, flux") and "flux (flux" not in message


def test_columns_of_the_wrong_type_are_named():
    with pytest.raises(BadInput, match="column flux is not double"):
        to_observations(photometry([(1, 1.0, 1, "bright", 1.0)]), "lsst")
    with pytest.raises(BadInput, match="column object id is not int64"):
        to_observations(photometry([(1.5, 1.0, 1, 1.0, 1.0)]), "lsst")
    with pytest.raises(BadInput, match="1 rows have no object id"):
        to_observations(photometry([(1, 1.0, 1, 1.0, 1.0), (None, 1.0, 1, 1.0, 1.0)]), "lsst")


def test_unknown_band_names_its_row():
    with pytest.raises(BadInput, match=r"curves.csv, row 1001: band 6"):
        rows = photometry([(1, 1.0, 5, 1.0, 1.0), (1, 2.0, 6, 1.0, 1.0)])
        to_observations(rows, "lsst", where="curves.csv", first_row=1000)


def test_text_ids_stay_text():
    table = records([("b", 1.0, "r", 1.0, 1.0), ("a", 1.0, "g", 1.0, 1.0), ("b", 0.0, "r", 3.0, 1.0)])
    assert table.schema.equals(record_schema(pa.string()))
    assert table["id"].to_pylist() == ["b", "a"] and table["flux"].to_pylist() == [[3.0, 1.0], [1.0]]


OBSERVATION = st.tuples(
    st.sampled_from(["x", "y", "z", "w"]),
    st.integers(0, 4).map(float),
    st.integers(0, 5),
    st.sampled_from([1.0, -2.0, float("nan")]),
    st.integers(-1, 3).map(float),
)


@settings(deadline=None)
@given(st.lists(OBSERVATION, min_size=1, max_size=30))
def test_grouping_matches_a_plain_loop(rows):
    expected: dict = {}
    for name, mjd, band, flux, flux_err in rows:
        epochs = expected.setdefault(name, {})
        if flux == flux and flux_err > 0 and (flux_err, flux) < epochs.get((mjd, band), (np.inf,)):
            epochs[mjd, band] = (flux_err, flux)
    table = records(rows)
    assert table["id"].to_pylist() == list(expected)
    for row, epochs in zip(table.to_pylist(), expected.values()):
        assert list(zip(row["mjd"], row["band"])) == sorted(epochs)
        assert list(zip(row["flux_err"], row["flux"])) == [epochs[key] for key in sorted(epochs)]


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(12)))
def test_order_of_observations_does_not_matter(order):
    rows = [(k % 3, float(k // 2), k % 6, float(k), 1.0) for k in range(12)]
    objects = to_objects(pa.array([2, 0, 1]), {})
    shuffled = records([rows[k] for k in order], objects)
    assert shuffled.select(("id", *LISTS)).equals(records(rows, objects).select(("id", *LISTS)))


@pytest.mark.parametrize(("kind", "largest"), [(np.float32, 2**24), (np.float64, 2**53)])
def test_ids_whose_digits_the_type_cannot_hold_are_refused(kind, largest):
    exact = identifiers(pa.chunked_array([pa.array(np.array([largest - 1], kind))]), "file")
    assert exact.to_pylist() == [largest - 1]
    with pytest.raises(BadInput, match="has lost their last digits"):
        identifiers(pa.chunked_array([pa.array(np.array([largest], kind))]), "file")


def test_a_column_that_is_there_twice_is_named():
    with pytest.raises(BadInput, match=r"a\.csv: column flux is there 2 times: keep one"):
        choose_columns(["object_id", "mjd", "band", "flux", "flux_err", "flux"], "a.csv")


def test_a_placeholder_is_no_extinction(caplog):
    found = to_objects(pa.array([1, 2, 3, 4]), {"mwebv": np.array([0.1, -999.0, np.inf, np.nan])})
    np.testing.assert_array_equal(np.isnan(found["mwebv"].to_numpy()), [False, True, True, True])
    assert "2 objects have an impossible mwebv" in caplog.text
    # Zero is a value: of an object of our own galaxy, and of a line of sight without dust.
    names = ("photoz", "photoz_err", "specz", "mwebv")
    found = to_objects(pa.array([1]), {name: np.zeros(1) for name in names})
    assert [found[name][0].as_py() for name in names] == [0, 0, 0, 0]


def test_what_no_telescope_measured_is_no_measurement(caplog):
    table = pa.table(
        {
            "object_id": [1, 1, 1],
            "mjd": [1.0, 2.0, 3.0],
            "band": ["g", "g", "g"],
            "mag": [20.0, 99.0, -99.0],
            "magerr": [0.1] * 3,
        }
    )
    found = to_records(
        to_observations(table, "lsst", where="a.csv"),
        to_objects(pa.array([1]), {"photoz": [-9.0], "photoz_err": [-1.0], "specz": [-99.0]}),
    )
    assert len(found["mjd"][0]) == 1 and "2 of 3 observations dropped" in caplog.text
    assert all(np.isnan(found[name][0].as_py()) for name in ("photoz", "photoz_err", "specz"))


@pytest.mark.parametrize("odd", [0.0, 2_460_000.5])
def test_a_time_far_from_the_others_of_its_object_is_dropped_and_not_they(odd, caplog):
    rows = [(1, mjd, 0, mjd, 1.0) for mjd in (odd, 60000.0, 60001.0, 60002.0)] + [(2, 15000.0, 0, 1.0, 1.0)]
    assert records(rows)["mjd"].to_pylist() == [[60000, 60001, 60002], [15000]]
    assert "1 observations dropped, at times 40000 days or more" in caplog.text
