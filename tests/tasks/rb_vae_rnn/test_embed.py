import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.snad_embeddings import SnadEmbeddings
from astro_lightning.verbs import rb_embed

sys.path.insert(0, str(Path(__file__).parents[2]))
from command import astro_lightning, run_folder

OID = 795208300012345


@pytest.mark.slow
def test_frames_of_a_survey_become_embeddings_that_the_reader_takes(tmp_path):
    words = ("data.simulation.n_objects=100", "+data.simulation.n_frames=3", "task.vae.model.latent_dims=4")
    quick = ("task.vae.trainer.max_epochs=1", "trainer=cpu", "callbacks=quiet", "report=false")
    astro_lightning("task=rb_vae", *words, *quick, folder=tmp_path)
    rng, survey = np.random.default_rng(0), tmp_path / "survey"
    for oid, n in ((OID, 3), (OID + 1, 2)):
        (survey / str(oid)).mkdir(parents=True)
        for i in range(n):
            unit = fits.PrimaryHDU(rng.normal(100, 5, (28, 28)).astype(np.float32))
            unit.header["HMJD"] = 58000.0 + i
            unit.writeto(survey / str(oid) / f"{i}.fits")
    out = tmp_path / "embeddings.parquet"
    rb_embed.main([str(run_folder(tmp_path, "rb_vae")), str(survey), str(out)])
    table = next(SnadEmbeddings(latent_dims=4).read(out))
    assert table["id"].to_pylist() == [OID, OID + 1] and table["label"].to_pylist() == [None, None]
    assert [len(mu) for mu in table["mu"].to_pylist()] == [12, 8]
    with pytest.raises(BadInput, match="does not exist"):
        rb_embed.main(["run", str(tmp_path / "nowhere"), str(out)])
