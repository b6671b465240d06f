import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from command import astro_lightning, run_folder

from astro_lightning.data.records import Records
from astro_lightning.data.surveys.plasticc_features import COLUMNS
from astro_lightning.tasks.plasticc.process_features import distance_modulus
from astro_lightning.tasks.plasticc.redshift_table import OFFSET, RedshiftTableData, features_at
from astro_lightning.tasks.plasticc.table_features import by_name

METADATA = {"photoz": [0.3, 0.3], "photoz_err": [0.1, 0.1], "mwebv": [0.0, 0.0], "ddf": [1.0, 1.0]}


def test_features_at_an_offset_are_those_of_an_object_whose_photometric_redshift_is_that():
    statistics = np.random.default_rng(0).uniform(1, 100, (2, 66))
    metadata = {name: np.array(values) for name, values in METADATA.items()}
    names = ["meta_photoz", "absolute_maximum_r", "skew_g", OFFSET]
    moved = features_at(statistics, metadata, np.array([0.0, np.log(2 / 1.3)]), names)
    other = features_at(statistics, {**metadata, "photoz": np.array([0.3, 1.0])}, np.zeros(2), names)
    np.testing.assert_allclose(moved[:, :3], other[:, :3], rtol=1e-6)
    np.testing.assert_allclose(moved[:, 3], [0, np.log(2 / 1.3)], rtol=1e-6)
    # Whatever is 40.96 magnitudes away (z = 0.3) was that much brighter nearby.
    magnitude = 27.5 - 2.5 * np.log10(by_name(statistics)["maximum"][:, 2])
    np.testing.assert_allclose(other[0, 1], magnitude[0] - 40.96, atol=0.01)


def write_survey(folder, n, seed, spectroscopic):
    """Two classes that differ by luminosity alone, and photometric redshifts of which a third are far off."""
    rng = np.random.default_rng(seed)
    target = rng.choice([42, 90], n)
    z = rng.uniform(0.1, 0.8, n)
    photoz = np.where(rng.random(n) < 0.3, rng.uniform(1.5, 2.0, n), z * np.exp(rng.normal(0, 0.02, n)))
    magnitude = distance_modulus(z) + np.where(target == 90, -19.5, -17.5) + rng.normal(0, 0.2, n)
    flux = 10 ** (-0.4 * (magnitude - 31.4))
    values = {name: rng.normal(1, 0.01, n) for name in COLUMNS}
    for name in COLUMNS:
        if name.split("__")[0] in ("maximum", "amplitude"):
            values[name] = flux * rng.normal(1, 0.02, n)
    folder.mkdir()
    identity = {"object_id": np.arange(n) + 1000 * seed}
    pd.DataFrame(identity | values).to_parquet(folder / "features.parquet")
    known = {"hostgal_photoz": photoz, "hostgal_photoz_err": np.full(n, 0.1), "mwebv": np.zeros(n), "ddf": np.ones(n)}
    known |= {"target": target} | ({"hostgal_specz": z} if spectroscopic else {})
    pd.DataFrame(identity | known).to_parquet(folder / "metadata.parquet")
    return target


@pytest.mark.slow
def test_spectroscopic_redshifts_are_learned_from_and_never_read_of_what_is_scored(tmp_path):
    write_survey(tmp_path / "train", 500, 1, True)
    words = ["experiment=plasticc_features", f"data.root={tmp_path / 'train'}", "data.classes=['42','90']"]
    words += ["task.stages.folds=0", "task.trees.trainer.max_epochs=1", "task.network.trainer.max_epochs=2"]
    words += ["task.features.val_share=0.2", "callbacks=quiet", "trainer=cpu", "report=false"]
    astro_lightning(*words, "task.redshift_trees.module.forest.n_trees=20", folder=tmp_path)
    run = run_folder(tmp_path, "plasticc_trees")

    def score(name):
        words = ["mode=predict", "experiment=plasticc_features", f"ckpt={run}", f"data.path={tmp_path / name}"]
        astro_lightning(*words, f"out={tmp_path / name}.parquet", "trainer=cpu", folder=tmp_path)
        return pd.read_parquet(tmp_path / f"{name}.parquet")[["prob_42", "prob_90"]].to_numpy()

    truth = write_survey(tmp_path / "new", 200, 2, False)
    write_survey(tmp_path / "same", 200, 2, True)
    scored = [score("new"), score("same")]
    np.testing.assert_allclose(scored[0], scored[1], rtol=1e-5)
    assert (scored[0].argmax(1) == (truth == 90)).mean() > 0.85
    # A file of Galactic objects alone has no redshift to average over.
    write_survey(tmp_path / "galactic", 3, 4, False)
    metadata = pd.read_parquet(tmp_path / "galactic" / "metadata.parquet").assign(hostgal_photoz=0.0)
    metadata.to_parquet(tmp_path / "galactic" / "metadata.parquet")
    assert np.isfinite(score("galactic")).all()


@pytest.mark.slow
def test_without_spectroscopic_redshifts_the_photometric_ones_serve_and_a_warning_says_so(tmp_path):
    write_survey(tmp_path / "train", 150, 3, False)
    words = ["experiment=plasticc_features", f"data.root={tmp_path / 'train'}", "data.classes=['42','90']"]
    words += ["task.stages.folds=0", "task.stages.models=[redshift_trees]", "task.trees.trainer.max_epochs=1"]
    words += ["task.features.val_share=0.2", "callbacks=quiet", "trainer=cpu", "report=false"]
    said = astro_lightning(*words, folder=tmp_path)
    assert "0 training objects have both redshifts" in said.stdout + said.stderr
    tested = pd.read_parquet(run_folder(tmp_path, "plasticc_trees") / "predictions.parquet")
    assert np.isfinite(tested[["prob_42", "prob_90"]]).all(axis=None) and len(tested) > 0


def test_a_spectroscopic_redshift_enters_training_batches_alone():
    n, names = 4, ["meta_photoz", "absolute_maximum_r", OFFSET]
    statistics = np.random.default_rng(0).uniform(1, 100, (n, 66)).astype(np.float32)
    known = {"photoz": [0.3, 0.3, 0.3, 0.0], "photoz_err": [0.1] * n, "mwebv": [0.0] * n, "ddf": [1.0] * n}
    lists = pa.FixedSizeListArray.from_arrays(pa.array(statistics.ravel()), 66)
    table = pa.table({"id": range(n), "label": ["a", "b"] * 2, **known, "statistics": lists})
    info = {
        "classes": ["a", "b"],
        "counts": [2, 2],
        "balance": 0.0,
        "features": names,
        "deredden": False,
        "bands": "lsst",
    }

    def batch(specz, train):
        records = Records.from_table(table.append_column("specz", pa.array(specz)))
        return RedshiftTableData.dataset(records, info, train)[(np.arange(n), 0)]

    tested, blind = batch([1.0, 0.2, np.nan, 0.5], False), batch([np.nan] * n, False)
    assert tested.keys() == blind.keys() and "offset" not in tested
    for name, values in blind.items():
        np.testing.assert_array_equal(tested[name], values)
    learnt = batch([1.0, 0.2, np.nan, 0.5], True)
    offset = np.log([2 / 1.3, 1.2 / 1.3])
    np.testing.assert_allclose(learnt["offset"], [*offset, np.nan, np.nan])
    np.testing.assert_array_equal(learnt["seen"], blind["features"])
    metadata = {name: np.array(values) for name, values in known.items()}
    expected = features_at(statistics, metadata, np.array([*offset, 0, 0]), names)
    np.testing.assert_allclose(learnt["features"], expected)
