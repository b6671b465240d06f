"""Files that are empty, of another kind, hidden or of two forms: one line that names them, or a way through."""

import io
import re
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import write_records
from astro_lightning.data.surveys.asas import CLASSES, CURVES, Asas
from astro_lightning.data.surveys.catalina import Catalina
from astro_lightning.data.surveys.des_autoscan import FEATURES, DesAutoscan
from astro_lightning.data.surveys.eros2 import Eros2
from astro_lightning.data.surveys.plasticc import Plasticc
from astro_lightning.data.surveys.plasticc_features import PlasticcFeatures
from astro_lightning.data.surveys.scope_table import ScopeTable
from astro_lightning.data.surveys.snad_embeddings import SnadEmbeddings
from astro_lightning.data.surveys.spectra import Spectra
from astro_lightning.data.surveys.stamps import Stamps
from astro_lightning.data.surveys.stripe82 import Stripe82
from astro_lightning.data.surveys.uea_lsst import UeaLsst
from astro_lightning.data.surveys.ztf_dr import ZtfDr

FILES = [
    (Plasticc, "training_set.csv"),
    (Plasticc, "a_lightcurves.parquet"),
    (UeaLsst, "a.parquet"),
    (PlasticcFeatures, "a.parquet"),
    (ZtfDr, "ztf_000001_zg_c01_q1_dr13.parquet"),
    (DesAutoscan, "a.parquet"),
    (SnadEmbeddings, "a.parquet"),
    (Catalina, "a.parquet"),
    (Eros2, "a_varlength_features.csv"),
    (Stripe82, "table1.tar.gz"),
    (ScopeTable, "a.parquet"),
    (Stamps, "a.npz"),
    (Stamps, "new_real_zg.fits"),
    (Stamps, "a.avro"),
    (Spectra, "a.parquet"),
    (Spectra, "train_data_1.fits"),
    (Spectra, "spec-1.fits.gz"),
]


@pytest.mark.parametrize(("survey", "name"), FILES)
def test_a_damaged_file_is_named_in_one_line_and_a_hidden_one_is_no_data(tmp_path, survey, name):
    for content in (b"", b"\x00\xff junk,\n" * 100, b"PAR1PK\x03\x04Obj\x01SIMPLE  =" * 9):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=f"^[^\n]*{re.escape(name)}[^\n]*$"):
            list(survey().read(tmp_path))
    (tmp_path / name).rename(tmp_path / f"._{name}")
    with pytest.raises(BadInput, match="holds no data"):
        survey().read(tmp_path)


@pytest.mark.parametrize("damaged", [CLASSES, CURVES])
def test_either_file_of_asas_may_be_the_damaged_one(tmp_path, damaged):
    (tmp_path / CLASSES).write_text("ID,CLASS\n1,RRab\n")
    (tmp_path / CURVES).write_bytes(b"")
    (tmp_path / damaged).write_bytes(b"\xff junk")
    with pytest.raises(BadInput, match=f"^[^\n]*{damaged}[^\n]*$"):
        list(Asas().read(tmp_path))


def test_stars_of_asas_need_no_classes_to_be_scored(tmp_path):
    with tarfile.open(tmp_path / CURVES, "w:gz") as archive:
        for name in ("set/1.dat", "set/2.dat", "set/README"):
            text = b"2450010.5 11.0 0.1\n2450000.5 10.0 0.1\n"
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    (table,) = Asas().read(tmp_path)
    assert table["id"].to_pylist() == ["1", "2"] and table["label"].to_pylist() == [None, None]
    assert table["mjd"][0].as_py() == [50000.0, 50010.0]
    for content in ("filename,class\n2,Mira\n", "filename,class\n1,\n2,Mira\n"):
        (tmp_path / CLASSES).write_text(content)
        assert next(Asas().read(tmp_path))["label"].to_pylist() == [None, "Mira"]


def test_columns_of_the_wrong_type_are_bad_input_and_text_identifiers_are_not(tmp_path):
    features = {name: np.zeros(2, np.float32) for name in FEATURES}
    pq.write_table(pa.table({"ID": ["a", "b"], **features}), tmp_path / "des.parquet")
    assert next(DesAutoscan().read(tmp_path))["id"].to_pylist() == ["a", "b"]
    table = pa.table({"ID": [1, 2], **features, "label_artifact": [float("nan"), -9.0]})
    pq.write_table(table, tmp_path / "des.parquet")
    assert next(DesAutoscan().read(tmp_path))["label"].to_pylist() == [None, None]
    pq.write_table(table.drop_columns(["f05"]), tmp_path / "des.parquet")
    with pytest.raises(BadInput, match=r"des.parquet: missing column f05"):
        DesAutoscan().read(tmp_path)
    lists = {"mjd": ["x"], "mag": [[1.0]], "magerr": [[1.0]]}
    pq.write_table(pa.table(lists), tmp_path / "css.parquet")
    with pytest.raises(BadInput, match=r"css.parquet.*list"):
        list(Catalina().read(tmp_path / "css.parquet"))
    pq.write_table(pa.table({"flux": [b"x"], "id": [1]}), tmp_path / "spectra.parquet")
    with pytest.raises(BadInput, match=r"spectra.parquet.*flux"):
        list(Spectra().read(tmp_path / "spectra.parquet"))


def test_a_folder_of_several_forms_with_numbered_and_named_spectra_is_read_as_one(tmp_path):
    flux = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(5200, np.float32)), 2600)
    pq.write_table(pa.table({"id": [1, 2], "label": ["STAR", "QSO"], "flux": flux}), tmp_path / "numbered.parquet")
    folder = tmp_path / "tianchi"
    folder.mkdir()
    (folder / "index.csv").write_text("id,type\na,star\n")
    (folder / "a.txt").write_text(",".join(["1.0"] * 2600))
    tables = list(Spectra().read(tmp_path))
    write_records(iter(tables), tmp_path / "records")
    assert [name for table in tables for name in table["id"].to_pylist()] == ["1", "2", "a"]
    (folder / "a.txt").write_text("no number")
    with pytest.raises(BadInput, match=r"a\.txt"):
        list(Spectra().read(folder))


def test_identifiers_that_lost_their_digits_and_times_that_lost_their_minutes_are_said(tmp_path, caplog):
    lists = {"mjd": [[58000.0, 1e20]], "mag": [[15.0, 15.0]], "magerr": [[0.1, 0.1]]}
    file = tmp_path / "css.parquet"
    pq.write_table(pa.table({**lists, "id": [5.16e17]}), file)
    with pytest.raises(BadInput, match=r"css.parquet.*last digits"):
        list(Catalina().read(file))
    pq.write_table(pa.table({**lists, "mjd": pa.array(lists["mjd"], pa.list_(pa.float32()))}), file)
    table = next(Catalina().read(file))
    assert "minutes" in caplog.text
    assert "1 of 2 observations left out" in caplog.text and table["mjd"].to_pylist() == [[58000.0]]
    np.savez(tmp_path / "a.npz", triplets=np.zeros((2, 3, 5, 5)), candid=np.array(["a", "b"]))
    assert next(Stamps(stamp_px=5).read(tmp_path))["id"].to_pylist() == ["a", "b"]
    np.savez(tmp_path / "a.npz", triplets=np.zeros((2, 3, 5, 5)), candid=np.array([1]))
    with pytest.raises(BadInput, match=r"1 candid and 2 triplets"):
        list(Stamps().read(tmp_path))


def test_photometry_without_a_table_of_its_objects_is_said(tmp_path, caplog):
    (tmp_path / "training_set.csv").write_text("object_id,mjd,passband,flux,flux_err\n1,58000,1,2,1\n")
    assert next(Plasticc().read(tmp_path)).num_rows == 1
    assert "no table *metadata beside it" in caplog.text
