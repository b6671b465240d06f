import gzip
import io
import json
import logging
from pathlib import Path

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table
from numpy.lib.npyio import NpzFile

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.alerts_avro import read_packets
from astro_lightning.data.surveys.stamps import Stamps, fit_to

CUTOUT = {
    "type": "record",
    "name": "cutout",
    "fields": [{"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes"}],
}
SCHEMA = {
    "type": "record",
    "name": "alert",
    "fields": [
        {"name": "objectId", "type": "string"},
        {"name": "candid", "type": "long"},
        {
            "name": "candidate",
            "type": {"type": "record", "name": "candidate", "fields": [{"name": "jd", "type": "double"}]},
        },
        {"name": "cutoutScience", "type": CUTOUT},
        {"name": "cutoutTemplate", "type": "cutout"},
        {"name": "cutoutDifference", "type": "cutout"},
    ],
}


def alert(candid: int, side: int = 63) -> dict:
    def cutout(value: float) -> dict:
        stream = io.BytesIO()
        fits.PrimaryHDU(np.full((side, side), value, dtype=np.float32)).writeto(stream)
        return {"fileName": "a.fits.gz", "stampData": gzip.compress(stream.getvalue())}

    return {
        "objectId": f"ZTF{candid // 10}",
        "candid": candid,
        "candidate": {"jd": 2458000.5},
        "cutoutScience": cutout(1),
        "cutoutTemplate": cutout(2),
        "cutoutDifference": cutout(3),
    }


def write(path: Path, *alerts: dict, codec: str = "null") -> Path:
    with path.open("wb") as file:
        fastavro.writer(file, SCHEMA, alerts, codec=codec)
    return path


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_packets_of_every_codec(tmp_path, codec):
    packets = list(read_packets(write(tmp_path / "a.avro", alert(11), alert(12), codec=codec)))
    assert [p.id for p in packets] == [11, 12]
    assert [p.cutouts[i][0, 0] for p in packets for i in range(3)] == [1, 2, 3] * 2
    assert packets[0].mjd == 58000.0 and packets[0].object_id == "ZTF1"


def test_a_time_that_is_a_modified_date_already_is_kept(tmp_path):
    schema = json.loads(json.dumps(SCHEMA).replace('"jd"', '"mjd"'))
    with (tmp_path / "decam.avro").open("wb") as file:
        fastavro.writer(file, schema, [{**alert(11), "candidate": {"mjd": 61229.08}}])
    assert next(read_packets(tmp_path / "decam.avro")).mjd == 61229.08


def test_confluent_message_needs_and_uses_its_schema(tmp_path):
    body = io.BytesIO()
    fastavro.schemaless_writer(body, SCHEMA, alert(77))
    (tmp_path / "m.avro").write_bytes(b"\x00" + (900).to_bytes(4, "big") + body.getvalue())
    with pytest.raises(BadInput, match="schema 900"):
        list(read_packets(tmp_path / "m.avro"))
    (tmp_path / "s.avsc").write_text(json.dumps(SCHEMA))
    assert [p.id for p in read_packets(tmp_path / "m.avro", tmp_path / "s.avsc")] == [77]
    with pytest.raises(BadInput, match=r"no lsst\.v9_0\.alert\.avsc"):
        list(read_packets(tmp_path / "m.avro", tmp_path))
    (tmp_path / "9").mkdir()
    (tmp_path / "s.avsc").rename(tmp_path / "9" / "lsst.v9_0.alert.avsc")
    assert [p.id for p in read_packets(tmp_path / "m.avro", tmp_path)] == [77]


def test_corrupt_packets_are_skipped_counted_and_named(tmp_path, caplog):
    write(tmp_path / "good.avro", alert(1))
    whole = write(tmp_path / "cut.avro", alert(2)).read_bytes()
    (tmp_path / "cut.avro").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "junk.avro").write_bytes(b"\x07junk")
    broken = alert(3)
    broken["cutoutScience"]["stampData"] = b"\x1f\x8b not gzip"
    write(tmp_path / "mixed.avro", broken, alert(4))
    skipped: list[str] = []
    with caplog.at_level(logging.WARNING):
        found = [p.id for p in read_packets(tmp_path, skipped=skipped)]
    assert found == [1, 4]
    assert sorted(s.split(":")[0] for s in skipped) == ["cut.avro", "junk.avro", "mixed.avro[0]"]
    assert "3 of 5 packets skipped" in caplog.text


@pytest.mark.timeout(30)
@pytest.mark.parametrize("card", ["PCOUNT  = -2880", "NAXIS   = 1E999"])
def test_a_header_that_leads_back_or_nowhere_costs_its_own_packet_alone(tmp_path, card):
    strange = alert(2)
    header = "".join(text.ljust(80) for text in ("SIMPLE  = T", "BITPIX  = 8", card, "END"))
    strange["cutoutTemplate"]["stampData"] = header.ljust(2 * 2880).encode()
    file, skipped = write(tmp_path / "a.avro", alert(1), strange, alert(3)), []
    assert [packet.id for packet in read_packets(file, skipped=skipped)] == [1, 3]
    assert len(skipped) == 1 and skipped[0].startswith("a.avro[1]")


def test_a_number_that_no_column_holds_ends_no_night(tmp_path):
    text = json.loads(json.dumps(SCHEMA).replace('"candid", "type": "long"', '"candid", "type": "string"'))
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, text, [alert(1) | {"candid": number} for number in ("7", str(10**20), "9")])
    (records,) = Stamps().read(tmp_path)
    assert records["id"].to_pylist() == [7, 9]


def test_archive_with_table_beside_it(tmp_path):
    stamps = np.random.default_rng(0).normal(size=(3, 3, 30, 30)).astype(np.float32)
    np.savez(tmp_path / "x_triplets.npz", triplets=stamps, candid=np.array([5, 6, 7]))
    (tmp_path / "x_meta.csv").write_text("candid,objectId,weak_label_real,weak_score\n5,a,1,0.9\n6,a,0,0.1\n7,b,,\n")
    table = next(Stamps(stamp_px=30, score_column="weak_score").read(tmp_path / "x_triplets.npz"))
    assert table["label"].to_pylist() == ["real", "bogus", None]
    assert table["group"].to_pylist() == ["a", "a", "b"]
    np.testing.assert_allclose(table["score"].to_numpy()[:2], [0.9, 0.1], rtol=1e-6)
    assert np.array_equal(table["stamp"].combine_chunks().flatten().to_numpy(), stamps.ravel())
    (tmp_path / "x_meta.csv").write_text("candid,objectId,weak_score\n5,a,?\n6,a,?\n7,b,?\n")
    with pytest.raises(BadInput, match=r"x_meta\.csv: column weak_score is not double"):
        next(Stamps(stamp_px=30, score_column="weak_score").read(tmp_path / "x_triplets.npz"))
    (tmp_path / "x_meta.csv").write_text("candid,objectId\n5,a\n7,a\n6,b\n")
    with pytest.raises(BadInput, match="same order"):
        next(Stamps(stamp_px=30).read(tmp_path / "x_triplets.npz"))


@pytest.mark.parametrize("last", [False, True])
def test_an_archive_is_read_so_many_stamps_at_a_time(tmp_path, monkeypatch, last):
    stamps = np.random.default_rng(0).normal(size=(7, 3, 9, 9)).astype(np.float32)
    given = np.ascontiguousarray(stamps.transpose(0, 2, 3, 1)) if last else stamps
    np.savez_compressed(tmp_path / "a.npz", triplets=given)
    np.savez(tmp_path / "b.npz", triplets=np.asfortranarray(given))
    read, whole = NpzFile.__getitem__, []
    monkeypatch.setattr(NpzFile, "__getitem__", lambda archive, name: whole.append(name) or read(archive, name))
    for name, asked in (("a", []), ("b", ["triplets"])):  # what lies column by column can only be read whole
        tables = list(Stamps(stamp_px=9, memory_gib=2.5 * 3 * 81 * 12 / 2**30).chunks(tmp_path / f"{name}.npz"))
        assert [len(table) for table in tables] == [2, 2, 2, 1] and whole == asked
        found = pa.concat_tables(tables)["stamp"].combine_chunks().flatten().to_numpy()
        assert np.array_equal(found, stamps.ravel())


def test_labels_in_words_are_read_and_placeholders_are_none(tmp_path, caplog):
    np.savez(tmp_path / "x_triplets.npz", triplets=np.ones((4, 3, 9, 9)), candid=np.array(["a", "b", "c", "d"]))
    table = tmp_path / "x_meta.csv"
    for given in ("1,0,-999,", "real,bogus,,"):
        rows = "".join(f"{name},{label}\n" for name, label in zip("abcd", given.split(",")))
        table.write_text(f"candid,weak_label_real\n{rows}")
        assert next(Stamps(stamp_px=9).read(tmp_path))["label"].to_pylist() == ["real", "bogus", None, None]
    assert "1 labels are neither 1 (real) nor 0 (bogus), the first is -999" in caplog.text
    table.write_text("candid,weak_label_real\nb,1\na,0\nc,1\nd,0\n")
    with pytest.raises(BadInput, match="differ in candid"):
        next(Stamps(stamp_px=9).read(tmp_path))


def test_an_archive_of_another_byte_order_and_tables_of_something_else_beside_it(tmp_path, caplog):
    stamps = np.ones((2, 3, 9, 9))
    np.savez(tmp_path / "x.npz", triplets=stamps.astype(">f4"), candid=np.array([5, 6], ">i8"))
    (tmp_path / "x_counts.csv").write_text("objectId,n\na,1\nb,2\nc,3\n")
    (tmp_path / "x_scores.csv").write_text("id,prob_real\n6,0.5\n5,0.5\n")
    (tmp_path / "x_zz.csv").write_text("candid,weak_label_real\n5,1\n6,0\n")
    table = next(Stamps(stamp_px=9).read(tmp_path))
    assert table["id"].to_pylist() == [5, 6] and table["label"].to_pylist() == ["real", "bogus"]
    assert "x_counts.csv" in caplog.text and "x_scores.csv" in caplog.text
    (tmp_path / "x_zz.csv").write_text("candid,weak_label_real\n5,1\n")
    with pytest.raises(BadInput, match=r"x_zz\.csv has 1 rows"):
        next(Stamps(stamp_px=9).read(tmp_path))


def test_packets_are_found_gzipped_in_capitals_and_beside_a_broken_link(tmp_path):
    (tmp_path / "0.avro").symlink_to(tmp_path / "nowhere")
    whole = write(tmp_path / "A.AVRO", alert(1)).read_bytes()
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "b.avro.gz").write_bytes(gzip.compress(whole))
    table = next(Stamps().read(tmp_path))
    assert table["id"].to_pylist() == [1, 1]
    assert next(Stamps().read(tmp_path / "night" / "b.avro.gz"))["id"].to_pylist() == [1]


def test_other_kinds_beside_the_one_that_is_read_are_named(tmp_path, caplog):
    write(tmp_path / "a.avro", alert(1))
    np.savez(tmp_path / "x.npz", triplets=np.ones((2, 3, 9, 9)))
    Table({"star_stamp": np.ones((1, 9, 9, 3))}).write(tmp_path / "new.fits")
    assert next(Stamps().read(tmp_path)).num_rows == 2
    assert "1 packets are passed over" in caplog.text and "1 tables without a label" in caplog.text


def test_gzipped_fits_tables_whatever_their_names_say(tmp_path):
    Table({"star_stamp": np.ones((2, 9, 9, 3))}).write(tmp_path / "a.fits")
    packed = gzip.compress((tmp_path / "a.fits").read_bytes())
    (tmp_path / "a.fits").unlink()
    for name in ("new_real_zg.fits.gz", "new_bogus_zg.fits"):
        (tmp_path / name).write_bytes(packed)
    table = pa.concat_tables(Stamps(stamp_px=9, band="zg").read(tmp_path))
    assert table["id"].to_pylist()[1::2] == ["new_bogus_zg:1", "new_real_zg:1"]
    assert table["label"].to_pylist()[::2] == ["bogus", "real"]


def test_published_fits_tables(tmp_path):
    stamps = np.random.default_rng(0).normal(size=(4, 63, 63, 3)).astype(np.float32)
    for kind in ("real", "bogus"):
        Table({"star_stamp": stamps}).write(tmp_path / f"new_{kind}_zg.fits")
    table = pa.concat_tables(Stamps(band="zg").read(tmp_path))
    assert table["label"].to_pylist()[::4] == ["bogus", "real"]
    first = table["stamp"].slice(0, 4).combine_chunks().flatten().to_numpy().reshape(4, 3, 63, 63)
    assert np.array_equal(first, stamps.transpose(0, 3, 1, 2))
    with pytest.raises(BadInput):
        list(Stamps(band="zr").read(tmp_path))


def test_small_stamps_are_padded_with_nan_and_large_ones_cropped():
    small = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    padded = fit_to(small, 5)
    assert np.isnan(padded).sum() == 16 and padded[2, 2] == 4
    assert np.array_equal(fit_to(padded, 3), small)
