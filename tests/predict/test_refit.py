"""A model trained once more on all objects scores new files; the numbers stay those of objects that nothing had seen."""

import numpy as np
import pyarrow.parquet as pq
import yaml
from command import TINY, astro_lightning, run_folder

from astro_lightning.core.stages import datamodule_of
from astro_lightning.data.fingerprint import object_hashes
from astro_lightning.predict import modes
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.plasticc.simulate import simulate


def test_new_files_are_scored_by_the_refit_and_tested_objects_by_what_never_saw_them(tmp_path):
    astro_lightning("task=plasticc_finetune", "refit=true", *TINY, folder=tmp_path)
    run = run_folder(tmp_path, "plasticc_finetune")
    cfg = yaml.safe_load((run / "config.yaml").read_text())
    data = datamodule_of(cfg, "finetune")
    first, again = Scorer(run), Scorer(run / "refit")
    hashes = object_hashes(data.records, data.splits["test"])
    assert first.seen_in_training(hashes) == 0 < again.seen_in_training(hashes)
    assert len(again.members[0].train_hashes) > 1.2 * len(first.members[0].train_hashes)

    tested = pq.read_table(run / "predictions.parquet")
    own = first.predict(data.records, data.splits["test"])
    np.testing.assert_array_equal(tested["prob_90"], own["prob_90"])

    assert "trained once more" in (run / "model_card.md").read_text()
    scorer = modes.make_scorer(cfg | {"ckpt": str(run)})
    assert scorer.path == run / "refit" and modes.make_scorer(cfg | {"ckpt": str(first.files[0])}).files == first.files
    new = simulate(n_objects=5, seed=9)
    assert not np.allclose(scorer.predict_table(new)["prob_90"], first.predict_table(new)["prob_90"], rtol=1e-3)


def test_folds_have_nothing_to_refit(tmp_path):
    said = astro_lightning("task=rb_rnn", "trainer=cpu", "refit=true", folder=tmp_path, expect=2).stderr
    assert said.startswith("error: refit=true: the folds of this task train on all objects already")
