from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from record_schema import record_schema

from astro_lightning.data.errors import BadInput
from astro_lightning.data.ragged import Ragged
from astro_lightning.data.surveys.mallorn import Mallorn
from astro_lightning.data.surveys.plasticc import Plasticc
from astro_lightning.data.surveys.spcc import Spcc


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "plasticc"


def read(survey, path, part="all"):
    table = pa.concat_tables(survey.read(path, part))
    assert table.select(record_schema().names).schema.equals(record_schema())
    mjd, flux, error = (Ragged.from_arrow(table[name]) for name in ("mjd", "flux", "flux_err"))
    within = np.ones(max(len(mjd.values) - 1, 0), dtype=bool)
    within[mjd.offsets[1:-1] - 1] = False
    assert (np.diff(mjd.values)[within] >= 0).all()
    assert np.isfinite(flux.values).all() and (error.values > 0).all() and np.isfinite(mjd.values).all()
    assert len(pc.unique(table["id"])) == len(table)
    return table


def classes(table):
    return Counter(table["label"].to_pylist())


def observations(table):
    return sum(len(chunk.flatten()) for chunk in table["mjd"].chunks)


def test_plasticc_csv(folder):
    table = read(Plasticc(), folder / "csv_sample")
    assert classes(table) == {"90": 4, "42": 2, "65": 2, "92": 1, "88": 1}
    assert table["id"].to_pylist()[:3] == [615, 713, 730] and observations(table) == 3279
    assert table["galactic"].to_pylist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert table["mjd"][0].as_py()[0] == 59750.4229 and table["flux"][0].as_py()[0] == np.float32(-544.8103)
    streamed = pa.concat_tables(Plasticc(memory_gib=1e-4).read(folder / "csv_sample"))
    assert streamed.select(["id", "mjd", "flux"]).equals(table.select(["id", "mjd", "flux"]))


def test_plasticc_parquet(folder):
    table = read(Plasticc(), folder / "plasticc_sn90")
    assert classes(table) == {"90": 30, "62": 30, "42": 30} and observations(table) == 15844
    assert pc.min(pc.list_element(table["mjd"], 0)).as_py() == 0.0


def test_curves_without_errors_are_refused(folder):
    with pytest.raises(BadInput, match=r"detected_lightcurves.parquet: missing column mjd .*found object_id, mjd_rel"):
        list(Plasticc().read(folder / "plasticc_detected784"))


def test_mallorn(folder):
    labelled = read(Mallorn(), folder / "mallorn", "labelled")
    assert classes(labelled) == {"AGN": 1429, "Ia": 659, "CC": 228, "TDE": 118}
    assert observations(labelled) == 381816 - 746
    unlabelled = read(Mallorn(), folder / "mallorn", "unlabelled")
    assert len(unlabelled) == 7135 and classes(unlabelled) == {None: 7135}
    assert observations(unlabelled) == 1145125 - 2022
    assert np.isfinite(unlabelled["photoz_err"].to_numpy()).all() and np.isnan(labelled["photoz_err"].to_numpy()).all()
    # Type Ia peak at -19.3 mag, which sets the flux scale: at redshift 0.3 (distance modulus 41.0) that is 21.7 mag.
    ia = labelled.filter(pc.equal(labelled["label"], "Ia"))
    ia = ia.filter(pc.less(pc.abs(pc.subtract(ia["photoz"], 0.3)), 0.02))
    peaks = [max(f for f, b in zip(*row) if b in (2, 3)) for row in zip(ia["flux"].to_pylist(), ia["band"].to_pylist())]
    assert len(peaks) > 10 and 27.5 - 2.5 * np.log10(np.median(peaks)) == pytest.approx(21.7, abs=0.7)


def test_mallorn_groups_can_be_split(folder):
    labelled = read(Mallorn(), folder / "mallorn", "labelled")
    label, group = np.array(labelled["label"].to_pylist()), labelled["group"].to_numpy()
    assert {name: len(np.unique(group[label == name])) for name in ("AGN", "Ia", "CC", "TDE")} == {
        "AGN": 70,
        "Ia": 45,
        "CC": 76,
        "TDE": 39,
    }
    assert np.unique(group, return_counts=True)[1].max() < 0.05 * len(group)


def test_mallorn_siblings_stand_in_one_split_of_the_release(folder):
    log = pq.read_table(folder / "mallorn" / "train_log.parquet").to_pandas()
    tde = log[log.SpecType == "TDE"]
    i, j = np.triu_indices(len(tde), 1)
    step = np.abs(np.log(tde.Z.to_numpy()[i] / tde.Z.to_numpy()[j]))
    same = tde.split.to_numpy()[i] == tde.split.to_numpy()[j]
    chance = same[step > 0.3].mean()
    assert same[step < 0.15].mean() > 3 * chance
    assert same[(step > 0.2) & (step < 0.3)].mean() < 1.5 * chance


def test_spcc(folder):
    table = read(Spcc(), folder / "spcc")
    assert classes(table) == {"II": 10744, "Ia": 4070, "Ibc": 2240} and observations(table) == 1640679 - 20
    biased = table.filter(table["spec_subset"])
    assert len(biased) == 878
    assert np.isfinite(biased["specz"].to_numpy()).mean() > 0.9
    assert np.isnan(table.filter(pc.invert(table["spec_subset"]))["specz"].to_numpy()).mean() > 0.9
