import json
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.snad_embeddings import SnadEmbeddings
from astro_lightning.data.surveys.snad_frames import SnadFrames, fit_corner

OID = 795208300012345


def test_embeddings_with_features(tmp_path):
    table = pa.table(
        {
            "oid": [OID, OID + 1],
            "label": pa.array([1, None], pa.int8()),
            "mu8": [[0.0] * 16, [1.0] * 8],
            "logvar8": [[2.0] * 16, [3.0] * 8],
        }
    )
    pq.write_table(table, tmp_path / "embeddings.parquet")
    pq.write_table(
        pa.table({"oid": [OID + 1], "label": [0], "amplitude": [0.5]}), tmp_path / "lightcurve_features.parquet"
    )
    found = next(SnadEmbeddings(lightcurves=True).read(tmp_path))
    assert found["label"].to_pylist() == ["artefact", None]
    assert found["group"].to_pylist() == [795, 795]
    assert found["features"].to_pylist() == [{"amplitude": None}, {"amplitude": 0.5}]
    assert len(next(iter(SnadEmbeddings().read(tmp_path, part="labelled")))) == 1


def test_features_of_nobody_are_refused_and_of_some_are_counted(tmp_path, caplog):
    lists = {"mu8": [[0.0] * 8] * 3, "logvar8": [[0.0] * 8] * 3}
    pq.write_table(pa.table({"oid": [OID + i for i in range(3)], **lists}), tmp_path / "embeddings.parquet")
    file = tmp_path / "lightcurve_features.parquet"
    with pytest.raises(BadInput, match="put the light-curve features of these objects beside"):
        list(SnadEmbeddings(lightcurves=True).read(tmp_path))
    # Text and integers are one object; a piece of the file takes its own rows.
    pq.write_table(pa.table({"amplitude": [2.0, 0.0], "oid": [str(OID + 2), str(OID)], "name": ["b", "a"]}), file)
    tables = list(SnadEmbeddings(lightcurves=True, memory_gib=1e-9).read(tmp_path))
    assert [table["features"][0].as_py()["amplitude"] for table in tables] == [0.0, None, 2.0]
    assert "1 of 3 objects have no light-curve features" in caplog.text and "column name" in caplog.text
    pq.write_table(pa.table({"oid": [1], "amplitude": [2.0]}), file)
    with pytest.raises(BadInput, match="none of its oid"):
        list(SnadEmbeddings(lightcurves=True).read(tmp_path))
    pq.write_table(pa.table({"amplitude": [2.0]}), file)
    with pytest.raises(BadInput, match="missing column oid"):
        list(SnadEmbeddings(lightcurves=True).read(tmp_path))


def test_ambiguous_objects_have_no_tag_beside_those_named(tmp_path):
    table = {
        "oid": [OID + i for i in range(4)],
        "tags": ["1-point", "artefact|1-point", "", None],
        "mu8": [[0.0] * 8] * 4,
    }
    pq.write_table(pa.table(table | {"logvar8": table["mu8"]}), tmp_path / "embeddings.parquet")
    found = next(SnadEmbeddings(ambiguous_tags=["1-point"]).read(tmp_path))
    assert found["ambiguous"].to_pylist() == [True, False, False, False]


def test_lengths_that_are_no_multiple_are_bad_input(tmp_path):
    pq.write_table(
        pa.table({"oid": [OID], "mu8": [[0.0] * 15], "logvar8": [[0.0] * 15]}), tmp_path / "embeddings.parquet"
    )
    with pytest.raises(BadInput, match="multiple of 8"):
        list(SnadEmbeddings().read(tmp_path))


def test_frames_of_another_number_of_dimensions_are_refused_where_their_number_is_known(tmp_path):
    table = {
        "oid": [OID, OID + 1],
        "n_frames": [1, 1],
        "mu": [[0.0] * 8, [0.0] * 32],
        "logvar": [[0.0] * 8, [0.0] * 32],
    }
    pq.write_table(pa.table(table), tmp_path / "embeddings.parquet")
    with pytest.raises(BadInput, match=f"oid {OID + 1} has 32 values of mu in 1 frames"):
        list(SnadEmbeddings().read(tmp_path))


@pytest.mark.parametrize(
    ("label", "expected", "strange"),
    [
        (pa.array([1.0, 0.0, float("nan")]), ["artefact", "other", None], 0),
        (pa.array(["artefact", " Other", ""]), ["artefact", "other", None], 0),
        (pa.array(["1", "0.0", "ghost"]).dictionary_encode(), ["artefact", "other", None], 1),
        (pa.array([1, -1, -1]), ["artefact", None, None], 2),
        (pa.array([True, False, None]), ["artefact", "other", None], 0),
        (pa.array([["a"], [], None]), [None, None, None], 3),
        (pa.nulls(3), [None, None, None], 0),
    ],
)
def test_labels_of_another_form_are_understood_or_taken_as_none(tmp_path, caplog, label, expected, strange):
    lists = {"oid": [1, 2, 3], "tags": [["a", "b"], ["a"], None], "mu8": [[0.0] * 8] * 3, "logvar8": [[0.0] * 8] * 3}
    (tmp_path / "night").mkdir()
    pq.write_table(pa.table({**lists, "label": label}), tmp_path / "night" / "embeddings.parquet")
    found = next(SnadEmbeddings(ambiguous_tags=["a"]).read(tmp_path))
    assert found["label"].to_pylist() == expected and found["ambiguous"].to_pylist() == [False, True, False]
    assert (f"label: {strange} labels are" in caplog.text) == bool(strange)


def test_a_table_without_a_column_is_named_and_alone_it_is_refused(tmp_path, caplog):
    lists = {"mu8": [[0.0] * 8], "logvar8": [[0.0] * 8]}
    pq.write_table(pa.table(lists), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match=r"a.parquet: missing column oid; found mu8"):
        SnadEmbeddings().read(tmp_path)
    pq.write_table(pa.table({"oid": [1], **lists}), tmp_path / "b.parquet")
    assert next(SnadEmbeddings().read(tmp_path))["id"].to_pylist() == [1]
    assert "a.parquet: missing column oid: the file is passed over" in caplog.text


def test_frames_are_sorted_by_time_and_labelled_by_the_knowledge_base(tmp_path, caplog):
    (tmp_path / "akb.json").write_text(json.dumps([{"oid": OID, "tags": ["artefact", "ghost"]}]))
    (tmp_path / "meta.json").write_text('{"survey": "ztf"}')
    (tmp_path / str(OID)).mkdir()
    for i, hmjd in enumerate([58002.0, 58001.0, 58003.0]):
        unit = fits.PrimaryHDU(np.full((28, 28 if i < 2 else 20), hmjd - 58000, dtype=np.float32))
        unit.header["HMJD"], unit.header["CRPIX1"], unit.header["CRPIX2"] = hmjd, 14 if i < 2 else 6, 14
        unit.writeto(tmp_path / str(OID) / f"{i}.fits")
    (tmp_path / str(OID) / "bad.fits").write_bytes(b"broken")
    with caplog.at_level(logging.WARNING):
        tables = list(SnadFrames().read(tmp_path))
    assert len(tables) == 1 and tables[0]["label"].to_pylist() == ["artefact"]
    frames = np.array(tables[0]["frames"].to_pylist()[0]).reshape(-1, 28, 28)
    assert [frame[14, 20] for frame in frames] == [1, 2, 3]
    # Pixels were missing on the low-x side, where the reference pixel is nearer to the edge.
    assert np.isnan(frames[2][:, :8]).all() and not np.isnan(frames[2][:, 8:]).any()
    assert "bad.fits" in caplog.text


@pytest.mark.parametrize(("first_column", "missing"), [(-8, slice(0, 8)), (3056, slice(16, 28))])
def test_a_cutout_at_the_edge_of_a_detector_of_3072_columns_stays_at_its_place(first_column, missing):
    columns = np.arange(first_column, first_column + 28)
    there = (columns >= 0) & (columns < 3072)
    image = np.tile(columns[there].astype(np.float32), (28, 1))
    frame = fit_corner(image, 28, {"CRPIX1": 1536.5 - columns[there][0], "CRPIX2": 900.0})
    assert np.isnan(frame[:, missing]).all() and (frame[:, there] == columns[there]).all()


def test_objects_of_other_bands_are_scored_and_not_trained_on(tmp_path):
    other = OID - 100_000_000_000  # of the g band
    (tmp_path / "akb.json").write_text(json.dumps([{"oid": oid, "tags": ["artefact"]} for oid in (OID, other)]))
    for name in (f"{OID}_r", str(other)):
        (tmp_path / name).mkdir()
        fits.PrimaryHDU(np.ones((28, 28), dtype=np.float32)).writeto(tmp_path / name / "0.fits")
    found = {part: [t["id"].to_pylist() for t in SnadFrames().read(tmp_path, part)] for part in ("all", "labelled")}
    assert found == {"all": [[other, OID]], "labelled": [[OID]]}  # folders of single objects come together
    assert sum(map(len, SnadFrames(only_r=False).read(tmp_path, "labelled"))) == 2


def frames_of(folder, *cutouts):
    (folder / str(OID)).mkdir(exist_ok=True)
    for i, (pixels, hmjd) in enumerate(cutouts):
        unit = fits.PrimaryHDU(np.asarray(pixels, dtype=np.float32))
        unit.header["HMJD"] = hmjd
        unit.writeto(folder / str(OID) / f"{i}.fits", overwrite=True)
    return np.array(next(SnadFrames().read(folder))["frames"].to_pylist()[0]).reshape(-1, 28, 28)


@pytest.mark.parametrize("unknown", ["", "unknown"])
def test_a_frame_without_a_time_costs_no_other_frame_and_all_stand_in_the_order_of_their_names(
    tmp_path, caplog, unknown
):
    times = [58003.0, unknown, 58001.0]
    frames = frames_of(tmp_path, *((np.full((28, 28), i), time) for i, time in enumerate(times)))
    assert frames[:, 0, 0].tolist() == [0, 1, 2] and "1 of 3 cutouts have no time" in caplog.text
    assert len(frames_of(tmp_path, *((np.ones((28, 28)), unknown) for _ in times))) == 3


@pytest.mark.parametrize(("height", "width"), [(63, 63), (32, 30), (63, 28)])
def test_a_larger_cutout_keeps_its_centre(tmp_path, height, width):
    pixels = np.zeros((height, width))
    pixels[height // 2, width // 2] = 7
    assert frames_of(tmp_path, (pixels, 58000.0))[0, 14, 14] == 7


def test_frames_that_are_not_finite_are_left_out_and_an_object_of_none_other_stays(tmp_path, caplog):
    nan = float("nan")
    lists = {"mu": [[1.0, 2.0, nan, 0.0], [3.0, 1e30]], "logvar": [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0]]}
    pq.write_table(pa.table({"oid": [1, 2], **lists}), tmp_path / "e.parquet")
    table = next(SnadEmbeddings(latent_dims=2).read(tmp_path))
    assert table["mu"].to_pylist() == [[1.0, 2.0], [0.0, 0.0]]
    assert table["logvar"].to_pylist() == [[0.0, 0.0], [0.0, 0.0]]
    assert "2 of 3 frames left out" in caplog.text
    nothing = pa.table(
        {"oid": [1, 2, 3], "n_frames": [0, 0, 1], "mu": [[], None, [1.0, 2.0]], "logvar": [[], None, [0.0, 0.0]]}
    )
    pq.write_table(nothing, tmp_path / "e.parquet")
    assert next(SnadEmbeddings(latent_dims=2).read(tmp_path))["mu"].to_pylist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 2.0]]
    pq.write_table(pa.table({"oid": [1, 2], **lists, "logvar": [[0.0, 0.0], [0.0, 0.0]]}), tmp_path / "e.parquet")
    with pytest.raises(BadInput, match="oid 1"):
        list(SnadEmbeddings(latent_dims=2).read(tmp_path))


def test_cutouts_in_capitals_are_read_others_named_and_two_folders_of_an_object_refused(tmp_path, caplog):
    folder = tmp_path / str(OID)
    folder.mkdir()
    for name in ("0.FITS", "1.fits"):
        fits.PrimaryHDU(np.ones((28, 28), np.float32)).writeto(folder / name)
    (folder / "2.fits.fz").write_text("")
    assert len(next(iter(SnadFrames().read(tmp_path)))["frames"][0]) == 2 * 28 * 28
    assert "1 files are passed over" in caplog.text and "2.fits.fz" in caplog.text
    (tmp_path / f"{OID}_r").mkdir()
    with pytest.raises(BadInput, match="are of one object"):
        list(SnadFrames().read(tmp_path))
