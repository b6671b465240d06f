import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.plasticc import Plasticc

LISTS = ["id", "mjd", "band", "flux", "flux_err", "detected"]


def photometry(ids, epochs=20, seed=0):
    rng = np.random.default_rng(seed)
    n = len(ids) * epochs
    return pa.table(
        {
            "object_id": np.repeat(ids, epochs),
            "mjd": np.sort(rng.uniform(59580, 60674, (len(ids), epochs)), axis=1).round(4).ravel(),
            "passband": rng.integers(0, 6, n),
            "flux": rng.normal(0, 50, n).round(6),
            "flux_err": rng.uniform(1, 9, n).round(6),
            "detected": rng.integers(0, 2, n),
        }
    )


def metadata(ids, **extra):
    n = len(ids)
    return pa.table(
        {
            "object_id": ids,
            "ra": np.zeros(n),
            "ddf": np.arange(n) % 2,
            "hostgal_specz": pa.array([None if k % 3 else 0.25 for k in range(n)], pa.float64()),
            "hostgal_photoz": np.arange(n) / 8,
            "hostgal_photoz_err": np.full(n, 0.5),
            "mwebv": np.full(n, 0.0625),
            **extra,
        }
    )


@pytest.fixture
def challenge(tmp_path):
    """A training set of 5 objects, one never observed, and a test set of 12 in two batches, two never observed."""
    ids = np.array([40, 10, 30, 20, 50])
    csv.write_csv(photometry(ids[:4]), tmp_path / "training_set.csv")
    csv.write_csv(metadata(ids, target=[90, 42, 65, 16, 15]), tmp_path / "training_set_metadata.csv")
    csv.write_csv(photometry(np.arange(100, 105), seed=1), tmp_path / "test_set_batch2.csv")
    csv.write_csv(photometry(np.arange(105, 110), seed=2), tmp_path / "test_set_batch10.csv")
    csv.write_csv(metadata(np.arange(99, 111)), tmp_path / "test_set_metadata.csv")
    (tmp_path / "sample_submission.csv").write_text("object_id,class_6\n")
    return tmp_path


def read(path, part="all", **options):
    return pa.concat_tables(Plasticc(**options).read(path, part))


def test_challenge_folder(challenge):
    table = read(challenge, "labelled")
    assert table["id"].to_pylist() == [40, 10, 30, 20, 50]
    assert table["label"].to_pylist() == ["90", "42", "65", "16", "15"]
    assert all(read(challenge / "training_set.csv")["training"].to_pylist())
    assert table["photoz"].to_pylist() == [0, 0.125, 0.25, 0.375, 0.5]
    assert table["galactic"].to_pylist() == [1, 0, 0, 0, 0]
    assert all(table["dereddened"].to_pylist())
    assert table["ddf"].to_pylist() == [0, 1, 0, 1, 0]
    assert table["specz"][0].as_py() == 0.25 and np.isnan(table["specz"][1].as_py())
    assert [len(row) for row in table["mjd"].to_pylist()] == [20] * 4 + [0]
    assert not {"ra", "object_id"} & set(table.column_names)
    expected = csv.read_csv(challenge / "training_set.csv").slice(20, 20)
    assert table["mjd"][1].as_py() == expected["mjd"].to_pylist()
    assert table["flux"][1].as_py() == expected["flux"].cast(pa.float32()).to_pylist()
    assert table["detected"][1].as_py() == expected["detected"].cast(pa.bool_()).to_pylist()
    test = read(challenge, "unlabelled")
    assert test["id"].to_pylist() == list(range(99, 111)) and test["label"].null_count == 12


def test_batches_are_read_by_number(challenge):
    (challenge / "test_set_metadata.csv").unlink()
    assert read(challenge, "unlabelled")["id"].to_pylist() == list(range(100, 110))


@pytest.mark.parametrize("memory_gib", [1e-6, 3e-6, 1e-5, 1e-4])
def test_streaming_gives_whole_objects(challenge, memory_gib):
    whole, streamed = read(challenge), list(Plasticc(memory_gib=memory_gib).read(challenge))
    joined = pa.concat_tables(streamed)
    by_id = [("id", "ascending")]
    assert joined.select(LISTS).sort_by(by_id).equals(whole.select(LISTS).sort_by(by_id))
    assert joined.schema.equals(whole.schema)
    if memory_gib <= 1e-5:
        assert len(streamed) > 4
        # Objects never observed come after those of the photometry.
        assert read(challenge, "unlabelled", memory_gib=memory_gib)["id"].to_pylist() == [*range(100, 110), 99, 110]


def test_object_split_over_blocks_comes_out_whole(tmp_path):
    csv.write_csv(photometry(np.array([1, 2, 3]), epochs=700), tmp_path / "training_set.csv")
    chunks = list(Plasticc(memory_gib=1e-5).read(tmp_path))
    assert [len(chunk) for chunk in chunks] == [1, 1, 1]
    assert [len(row) for chunk in chunks for row in chunk["mjd"].to_pylist()] == [700] * 3


def test_scattered_rows_are_sorted_in_memory_and_refused_in_a_stream(tmp_path):
    table = photometry(np.arange(8))
    shuffled = table.take(np.random.default_rng(3).permutation(len(table)))
    csv.write_csv(shuffled, tmp_path / "training_set.csv")
    csv.write_csv(metadata(np.arange(8)), tmp_path / "training_set_metadata.csv")
    got = read(tmp_path)
    assert got["mjd"].to_pylist() == table["mjd"].to_numpy().reshape(8, -1).tolist()
    with pytest.raises(
        BadInput, match=r"training_set.csv: the rows of object \d do not stand together: sort .*memory_gib"
    ):
        read(tmp_path, memory_gib=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_unblinded_release(tmp_path, suffix):
    def write(table, stem):
        if suffix == "parquet":
            pq.write_table(table, tmp_path / f"{stem}.parquet")
        else:
            csv.write_csv(table, tmp_path / f"{stem}.csv")
        if suffix == "csv.gz":
            plain = tmp_path / f"{stem}.csv"
            (tmp_path / f"{stem}.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
            plain.unlink()

    for number in (2, 1):
        ids = np.arange(3) + 10 * number
        write(photometry(ids).rename_columns({"detected": "detected_bool"}), f"plasticc_test_lightcurves_{number:02}")
    ids = np.array([10, 11, 12, 20, 21, 22])
    table = metadata(ids, target=[99, 99, 90, 42, 42, 42], true_target=[991, 994, 90, 42, 42, 42], true_z=np.ones(6))
    write(table.rename_columns({"ddf": "ddf_bool"}), "plasticc_test_metadata")
    got = read(tmp_path)
    assert got["id"].to_pylist() == ids.tolist()
    assert got["label"].to_pylist() == ["991", "994", "90", "42", "42", "42"]
    assert got["ddf"].to_pylist() == [0, 1, 0, 1, 0, 1]
    assert got["detected"][0].as_py() == photometry(ids[:3])["detected"].cast(pa.bool_()).to_pylist()[:20]
    assert "true_z" not in got.column_names and not any(got["training"].to_pylist())
    assert read(tmp_path, classes={"99?": "other", "*": None})["label"].to_pylist() == ["other"] * 2 + [None] * 4


def test_one_file_and_its_metadata(challenge):
    assert read(challenge / "test_set_batch10.csv", memory_gib=1e-6)["id"].to_pylist()[:5] == list(range(105, 110))
    assert read(challenge / "training_set.csv")["label"].to_pylist() == ["90", "42", "65", "16", "15"]
    with pytest.raises(BadInput, match="holds no data of Plasticc"):
        read(challenge / "training_set_metadata.csv")


def test_file_of_any_name_without_metadata(tmp_path):
    pq.write_table(photometry(np.arange(3)), tmp_path / "mine.parquet")
    got = read(tmp_path / "mine.parquet")
    assert got["label"].null_count == 3 and np.isnan(got["photoz"].to_numpy()).all()


def test_integer_labels_with_gaps_stay_whole_numbers(tmp_path):
    csv.write_csv(photometry(np.arange(2)), tmp_path / "training_set.csv")
    csv.write_csv(metadata(np.arange(2), target=pa.array([90, None])), tmp_path / "training_set_metadata.csv")
    assert read(tmp_path)["label"].to_pylist() == ["90", None]


@pytest.mark.parametrize("memory_gib", [1.0, 1e-6])
def test_metadata_that_does_not_fit(challenge, memory_gib):
    file = challenge / "training_set_metadata.csv"
    csv.write_csv(metadata(np.array([40, 10, 30, 20, 40])), file)
    with pytest.raises(BadInput, match=r"training_set.csv: object 40 has several rows in the metadata"):
        read(challenge, memory_gib=memory_gib)
    csv.write_csv(metadata(pa.array(["a", "b"])), file)
    with pytest.raises(BadInput, match="int64 in the photometry and string in the metadata"):
        read(challenge, memory_gib=memory_gib)


@pytest.mark.parametrize("memory_gib", [1.0, 1e-6])
def test_object_without_metadata_row_keeps_the_schema(challenge, memory_gib):
    csv.write_csv(metadata(np.array([40, 10, 20])), challenge / "training_set_metadata.csv")
    got = read(challenge / "training_set.csv", memory_gib=memory_gib)
    assert sorted(got["id"].to_pylist()) == [10, 20, 30, 40]
    assert got["galactic"].null_count == 0 and np.isnan(got["galactic"].to_numpy()).sum() == 1


def break_empty(file):
    file.write_bytes(b"")


def break_header_only(file):
    file.write_text(file.read_text().splitlines()[0] + "\n")


def break_row(file):
    file.write_text(file.read_text() + "40,59999.1\n")


def break_number(file):
    file.write_text(file.read_text() + "40,59999.1,2,bright,1.0,1\n")


def break_band(file):
    file.write_text(file.read_text() + "40,59999.1,6,1.0,1.0,1\n")


def break_column(file):
    file.write_text(file.read_text().replace("flux_err", "error"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_empty, "cannot be read"),
        (break_header_only, "no observations"),
        (break_row, "cannot be read"),
        (break_number, "cannot be read .*bright"),
        (break_band, "row 80: band 6 is not of lsst"),
        (break_column, "missing column flux_err .*found object_id, mjd, passband, flux, error, detected"),
    ],
)
def test_damaged_csv(challenge, damage, message):
    damage(challenge / "training_set.csv")
    with pytest.raises(BadInput, match=f"training_set.csv.*{message}") as caught:
        read(challenge)
    assert "\n" not in str(caught.value)


def test_truncated_parquet(tmp_path):
    file = tmp_path / "lightcurves.parquet"
    pq.write_table(photometry(np.arange(50)), file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(BadInput, match=r"lightcurves.parquet: cannot be read"):
        read(tmp_path)


def test_truncated_gzip(tmp_path):
    csv.write_csv(photometry(np.arange(50)), tmp_path / "t.csv")
    (tmp_path / "training_set.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes())[:5000])
    with pytest.raises(BadInput, match=r"training_set.csv.gz: cannot be read"):
        read(tmp_path)


def test_metadata_without_id_column(challenge):
    file = challenge / "training_set_metadata.csv"
    file.write_text(file.read_text().replace("object_id", "name"))
    with pytest.raises(BadInput, match=r"training_set_metadata.csv: missing column object_id; found name, ra"):
        read(challenge)


@pytest.fixture
def test_folder(challenge):
    for file in challenge.glob("training_set*"):
        file.unlink()
    return challenge


def test_convert_writes_a_part_per_file_and_resumes(test_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("converted") / "parts"
    parts = Plasticc().convert(test_folder, out)
    names = ["test_set_batch2.parquet", "test_set_batch10.parquet", "test_set_metadata_unobserved.parquet"]
    assert [part.name for part in parts] == names == sorted(names, key=[p.name for p in parts].index)
    assert {file.name for file in out.iterdir()} == set(names)
    got = pa.concat_tables(pq.read_table(part) for part in parts)
    by_id = [("id", "ascending")]
    assert got.select(LISTS).sort_by(by_id).equals(read(test_folder).select(LISTS).sort_by(by_id))
    times = [part.stat().st_mtime_ns for part in parts[:2]]
    parts[1].unlink()
    again = Plasticc().convert(test_folder, out)
    assert again == parts
    assert parts[0].stat().st_mtime_ns == times[0] and parts[1].stat().st_mtime_ns != times[1]


def test_convert_writes_anew_what_changed(test_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("converted")
    first = Plasticc().convert(test_folder, out)[0]
    csv.write_csv(photometry(np.arange(100, 103), seed=1), test_folder / "test_set_batch2.csv")
    Plasticc().convert(test_folder, out)
    assert pq.read_table(first)["id"].to_pylist() == [100, 101, 102]


def test_convert_leaves_no_half_written_part(test_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("converted")
    break_band(test_folder / "test_set_batch10.csv")
    with pytest.raises(BadInput, match="band 6"):
        Plasticc().convert(test_folder, out)
    assert [file.name for file in out.iterdir()] == ["test_set_batch2.parquet"]


def test_convert_refuses_an_object_in_two_files(test_folder, tmp_path_factory):
    csv.write_csv(photometry(np.arange(104, 110)), test_folder / "test_set_batch10.csv")
    with pytest.raises(BadInput, match="object 104 has observations in several of its 2 files"):
        Plasticc().convert(test_folder, tmp_path_factory.mktemp("converted"))


def test_convert_refuses_the_folder_of_the_survey_itself(challenge):
    with pytest.raises(BadInput, match="the parts would hide"):
        Plasticc().convert(challenge, challenge)
    assert not list(challenge.glob("*.parquet"))


def padded(table, of):
    names = [of(number) for number in table["object_id"].to_pylist()]
    return table.set_column(table.schema.get_field_index("object_id"), "object_id", pa.array(names))


def test_zeros_before_an_identifier_are_kept_wherever_the_first_one_stands(tmp_path):
    ids = np.arange(100, 400)
    last = {399: "0100"}
    table = padded(photometry(ids), lambda i: last.get(i, str(i)))
    csv.write_csv(table, tmp_path / "test_set_batch1.csv")
    csv.write_csv(photometry(np.arange(500, 503)), tmp_path / "test_set_batch2.csv")
    csv.write_csv(metadata(np.arange(500, 503)), tmp_path / "test_set_metadata.csv")
    (tmp_path / "test_set_metadata.csv").write_text((tmp_path / "test_set_metadata.csv").read_text().replace('"', ""))
    text = (tmp_path / "test_set_batch1.csv").read_text().replace('"', "")
    (tmp_path / "test_set_batch1.csv").write_text(text)
    assert len(text) > 1 << 17
    found = read(tmp_path)["id"].to_pylist()
    assert sorted(found) == sorted([*map(str, range(100, 399)), "0100", "500", "501", "502"])


def test_metadata_without_rows_is_said_to_be_so(challenge):
    (challenge / "training_set_metadata.csv").write_text("object_id,ra,decl,ddf,target\n")
    with pytest.raises(BadInput, match="has no rows"):
        read(challenge / "training_set.csv")


def test_a_second_form_of_a_table_is_named(challenge, caplog):
    pq.write_table(photometry([7]), challenge / "training_set.parquet")
    assert len(read(challenge)) == 17
    assert "training_set.parquet beside it is not" in caplog.text


def test_a_detection_that_is_not_known_is_none(tmp_path):
    table = photometry([5], epochs=3)
    for unknown in (None, np.nan):
        column = pa.array([1.0, unknown, 0.0], pa.float64())
        pq.write_table(table.set_column(5, "detected", column), tmp_path / "x.parquet")
        assert read(tmp_path / "x.parquet")["detected"].to_pylist() == [[True, False, False]]
