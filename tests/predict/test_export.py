"""Exported networks in a plain Python process without PyTorch: same numbers, any number of objects."""

import subprocess
import sys

import numpy as np
import pytest
import yaml
from untrained import TASKS, untrained

from astro_lightning.core.build import build
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.predict.export import export_network
from astro_lightning.predict.score import Scorer

SIZES = (8, 3, 1)
PLAIN = """
import sys
import numpy as np
import onnxruntime
for path in sys.argv[1:]:
    session = onnxruntime.InferenceSession(f"{path}/network.onnx")
    for size in (8, 3, 1, 5):
        given = np.load(f"{path}/{size}.npz")
        found = session.run(None, {node.name: given[node.name] for node in session.get_inputs()})[0]
        np.testing.assert_allclose(found, given["expected"], atol=1e-5)
assert not {"torch", "astro_lightning"} & set(sys.modules)
"""


def prepared(name, folder):
    run = untrained(folder, *TASKS[name])
    cfg = yaml.safe_load((run / "config.yaml").read_text())
    table = build(cfg["task"]["simulate"], **cfg["data"]["simulation"] | {"n_objects": 8, "seed": 9})
    scorer, records = Scorer(run), Records.from_table(table)
    return scorer, {n: next(iter(scorer.batches(scorer.members[0], records, np.arange(n)))) for n in (*SIZES, 5)}


@pytest.mark.slow
def test_networks_score_without_torch_at_any_batch_size(tmp_path):
    names = ("plasticc", "spectra", "stamps", "frames")
    for name in names:
        folder = tmp_path / name
        scorer, batches = prepared(name, folder)
        assert export_network(scorer, [batches[n] for n in SIZES], folder / "network.onnx") <= 1e-5
        for n, batch in batches.items():
            columns = scorer.members[0].module.predict_step(batch)
            expected = np.stack([v.detach().numpy() for k, v in columns.items() if k.startswith("prob_")], -1)
            np.savez(
                folder / f"{n}.npz",
                expected=expected,
                **{k: v.numpy() for k, v in batch.items() if hasattr(v, "numpy")},
            )
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, *(tmp_path / name for name in names)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", ["trees", "scope"])
def test_trees_are_refused_in_one_line(name, tmp_path):
    scorer, batches = prepared(name, tmp_path)
    with pytest.raises(BadInput, match="boosted trees"):
        export_network(scorer, [batches[n] for n in SIZES], tmp_path / "network.onnx")
    assert not list(tmp_path.glob("*.onnx"))
