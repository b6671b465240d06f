import numpy as np
import pyarrow as pa
import pytest

from astro_lightning.data.surveys.spectra import Spectra
from astro_lightning.tasks.spectra.simulate import Twin


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "spectra"


@pytest.fixture(scope="module")
def raw(folder):
    files = sorted([*folder.glob("raw_lamost/*"), *folder.glob("raw_sdss/*")])
    survey = Spectra()
    tables = [table for part in ("raw_lamost", "raw_sdss") for table in survey.read(folder / part)]
    return files, survey, pa.concat_tables(tables, promote_options="default")


def test_every_raw_file_is_read(raw):
    files, survey, table = raw
    assert survey.skipped == []
    assert len(table) == len(files) >= 30
    assert set(table["survey"].to_pylist()) == {"LAMOST", "SDSS", "BOSS"}
    assert set(table["label"].to_pylist()) <= {"STAR", "GALAXY", "QSO", "SKY", "UNKNOWN"}


def test_raw_files_agree_with_the_table_made_from_them(raw, folder):
    _, _, table = raw
    known = pa.concat_tables(list(Spectra().read(folder / "real_spectra.parquet")))
    place = {name: i for i, name in enumerate(known["id"].to_pylist())}
    rows = [(i, place[name]) for i, name in enumerate(table["id"].to_pylist()) if name in place]
    assert len(rows) >= 25
    for i, j in rows:
        flux, ivar = (np.asarray(table[name][i].as_py(), float) for name in ("flux", "ivar"))
        other, weight = (np.asarray(known[name][j].as_py(), float) for name in ("flux", "ivar"))
        both = (ivar > 0) & (weight > 0) & np.isfinite(other)
        assert both.sum() > 2000
        assert np.quantile(np.abs(flux - other)[both] * np.sqrt(weight[both]), 0.99) < 0.1


def test_templates_enrich_the_twin(folder):
    twin = Twin(folder / "templates")
    assert len(twin.library.rows("template")) > 200
    assert len(twin.library.rows("galaxy")) == 12
    flux, ivar, _, _ = twin.draw(np.arange(40) % 4, 0)
    assert np.isfinite(flux).all()
    assert (ivar > 0).any(axis=1).all()
