import pickle

import numpy as np
import pyarrow as pa
import pytest

from astro_lightning.data import fingerprint as hashing
from astro_lightning.data.errors import BadInput
from astro_lightning.data.fingerprint import fingerprint, object_hashes
from astro_lightning.data.records import Records, write_records


def table(ids=(3, 1, 2), labels=("a", None, "b")):
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "label": pa.array(labels, pa.string()),
            "mjd": pa.array([[float(i) + k for k in range(n)] for i, n in zip(ids, (2, 0, 3))], pa.list_(pa.float64())),
            "stamp": pa.array([[float(i)] * 4 for i in ids], pa.list_(pa.float32(), 4)),
        }
    )


def test_written_records_are_memory_mapped_and_equal_the_tables(tmp_path):
    tables = [table(), table((7, 8, 9), ("b", "b", None))]
    records = Records.open(write_records(iter(tables), tmp_path / "records"))
    assert records.ids.tolist() == [3, 1, 2, 7, 8, 9]
    assert records.labels.tolist() == ["a", None, "b", "b", "b", None]
    values, offsets = records.ragged["mjd"].take(np.arange(6))
    assert np.diff(offsets).tolist() == [2, 0, 3, 2, 0, 3]
    assert values.tolist() == [3, 4, 2, 3, 4, 7, 8, 9, 10, 11]
    assert records.fixed["stamp"].shape == (6, 4) and records.fixed["stamp"][4, 0] == 8
    assert isinstance(records.ragged["mjd"].values, np.memmap)


def test_a_failure_half_way_leaves_nothing(tmp_path):
    def broken():
        yield table()
        raise BadInput("file 2 is cut short")

    with pytest.raises(BadInput, match="cut short"):
        write_records(broken(), tmp_path / "records")
    assert list(tmp_path.iterdir()) == []


def test_no_object_at_all_is_refused(tmp_path):
    with pytest.raises(BadInput, match="empty"):
        write_records(iter([table().slice(0, 0)]), tmp_path / "records")


@pytest.mark.parametrize("coded", [False, True])
def test_labels_are_words_numbers_of_classes_or_none(coded):
    labels = pa.chunked_array([["b", None], ["a", "b"]], pa.string())
    given = {"id": [1, 2, 3, 4], "label": labels.dictionary_encode() if coded else labels}
    records = Records.from_table(pa.table(given))
    assert records.labels.tolist() == ["b", None, "a", "b"]
    assert records.labelled.tolist() == [True, False, True, True]
    assert records.targets(["c", "b"]).tolist() == [1, -1, -1, 1]
    for label in (None, pa.nulls(4), pa.nulls(4, pa.string())):
        records = Records.from_table(pa.table({"id": given["id"]} | ({} if label is None else {"label": label})))
        assert records.labels.tolist() == [None] * 4 and not records.labelled.any()
        assert records.targets(["a"]).tolist() == [-1] * 4


def test_a_missing_column_names_what_is_there():
    with pytest.raises(BadInput, match=r"'ra' is missing.*id, label"):
        Records.from_table(table()).column("ra")
    assert np.isnan(Records.from_table(table()).column("ra", np.nan)).all()


def test_a_list_that_is_null_names_its_object():
    for name, remedy in (("mjd", "an empty list"), ("stamp", "NaN for each value")):
        values = table()[name].to_pylist()
        place = table().column_names.index(name)
        holed = table().set_column(place, name, pa.array([*values[:2], None], table()[name].type))
        with pytest.raises(BadInput, match=f"the list {name} of object 2 is null: give {remedy}"):
            Records.from_table(holed)


def test_hash_follows_content_not_name_or_place():
    first, second = Records.from_table(table()), Records.from_table(table((2, 1, 3), ("b", None, "a")))
    hashes = object_hashes(first)
    assert len(set(hashes.tolist())) == 3
    swapped = table().set_column(0, "id", pa.array([30, 10, 20]))
    assert (object_hashes(Records.from_table(swapped)) == hashes).all()
    assert object_hashes(first, np.array([2, 0])).tolist() == hashes[[2, 0]].tolist()
    assert not np.isin(object_hashes(second)[[0]], hashes).any()  # other lengths, other content


def test_hashes_are_made_of_bounded_blocks_and_are_those_of_the_whole(monkeypatch):
    lengths = np.random.default_rng(0).integers(0, 9, 50)
    lists = pa.ListArray.from_arrays(np.append(0, np.cumsum(lengths)), np.arange(float(lengths.sum())))
    wide = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(150.0)), 3)
    records = Records.from_table(pa.table({"id": np.arange(50), "mjd": lists, "flux": wide}))
    rows, sizes, bits = np.arange(50)[::-1], [], hashing._bits
    whole = object_hashes(records, rows)
    monkeypatch.setattr(hashing, "_bits", lambda values: sizes.append(values.size) or bits(values))
    monkeypatch.setattr(hashing, "VALUES", 20)
    assert object_hashes(records, rows).tolist() == whole.tolist()
    assert len(sizes) > 10 and max(sizes) <= 20 + 9
    assert len(object_hashes(records, rows[:0])) == 0


def test_hash_sees_order_within_an_object_and_survives_the_disk(tmp_path):
    one = pa.table({"id": [1], "flux": pa.array([[1.0, 2.0]], pa.list_(pa.float32()))})
    two = pa.table({"id": [1], "flux": pa.array([[2.0, 1.0]], pa.list_(pa.float32()))})
    hashes = [object_hashes(Records.from_table(t))[0] for t in (one, two)]
    assert hashes[0] != hashes[1]
    opened = Records.open(write_records(iter([one]), tmp_path / "records"))
    assert object_hashes(opened)[0] == hashes[0]


def test_fingerprint_changes_with_content_and_with_the_split():
    records = Records.from_table(table())
    splits = {"train": np.array([0, 1]), "test": np.array([2])}
    base = fingerprint(records, splits)
    moved = fingerprint(records, {"train": np.array([0]), "test": np.array([1, 2])})
    other = fingerprint(Records.from_table(table(labels=("a", "a", "b"))), splits)
    assert base["content_sha256"] == moved["content_sha256"] != other["content_sha256"]
    assert base["split_sha256"] != moved["split_sha256"]


def test_fingerprint_changes_with_a_redshift_and_not_with_who_wrote_the_nan():
    other_nan = np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)[0]
    found = []
    for redshift in ([0.1, np.nan], [0.1, other_nan], [0.2, np.nan]):
        columns = {"id": [1, 2], "photoz": redshift, "flux": pa.array([[1.0], [2.0]], pa.list_(pa.float32()))}
        records = Records.from_table(pa.table(columns))
        found.append(fingerprint(records, {"train": np.arange(2)})["content_sha256"])
    assert found[0] == found[1] != found[2]


def test_named_features_keep_their_names_and_files_with_other_columns_are_refused(tmp_path):
    def named(*names):
        values = pa.StructArray.from_arrays([pa.array([1.0, None], pa.float32()) for _ in names], names)
        return pa.table({"id": [1, 2], "features": values})

    records = Records.open(write_records(iter([named("a", "b"), named("a", "b")]), tmp_path / "records"))
    assert records.names == {"features": ["a", "b"]} and records.fixed["features"].shape == (4, 2)
    assert np.isnan(records.fixed["features"][1]).all()
    with pytest.raises(BadInput, match="features"):
        write_records(iter([named("a", "b"), named("b", "a")]), tmp_path / "other")


def test_a_table_made_elsewhere_is_read_or_refused_in_a_line():
    views = table().set_column(0, "id", pa.array(["c", "a", "b"], pa.string_view()))
    assert Records.from_table(views).flat["id"].take([0, 2]).to_pylist() == ["c", "b"]
    with pytest.raises(BadInput, match=r"pyarrow\.Table, not a DataFrame"):
        Records.from_table(table().to_pandas())
    with pytest.raises(BadInput, match="column 'id' is missing"):
        Records.from_table(table().drop_columns(["id"]))
    # pandas knows no lists of one length: what was a stamp comes back as any list.
    records = Records.from_table(pa.table(table().to_pandas()))
    with pytest.raises(BadInput, match=r"'stamp' must be a fixed-size list.*cast it"):
        records.fixed["stamp"]
    with pytest.raises(BadInput, match="'flux' is missing; these are there: mjd, stamp"):
        pickle.loads(pickle.dumps(records)).ragged["flux"]


@pytest.mark.parametrize("name", ["flat.arrow", "columns.json", "mjd.values", "mjd.offsets", "stamp.values"])
@pytest.mark.parametrize("left", [None, 0, 8, 24])
def test_records_of_which_a_file_is_gone_or_cut_short_are_refused(tmp_path, name, left):
    file = write_records(iter([table()]), tmp_path / "records") / name
    if left is None:  # as where a scratch disk removes what is old
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(BadInput, match=r"records are damaged .*: remove the folder") as refusal:
        Records.open(tmp_path / "records")
    assert "\n" not in str(refusal.value)
