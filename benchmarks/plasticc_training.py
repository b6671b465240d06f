"""Light curves per second of processor time, and how many times the published way of pretraining, measured in the same run.

python -m benchmarks.plasticc_training [--threads 1]
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from astro_lightning.core.loader import Batch, BatchSampler
from astro_lightning.core.trainer import fast_precision
from astro_lightning.data.records import Records
from astro_lightning.tasks.plasticc.data import CurveBatches
from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.network import Classifier, Pretrainer
from astro_lightning.tasks.plasticc.simulate import simulate
from astro_lightning.tasks.plasticc.transformer import PlasticcTransformer
from benchmarks.clock import seconds
from benchmarks.seed_pretraining import SeedBert, batch_of
from benchmarks.table import Cell, write_table

TOKENS = {
    "kind": "continuous",
    "metadata": ["photoz", "photoz_err", "mwebv", "ddf"],
    "shift_days": 20.0,
    "metadata_dropout": 0.2,
}
MASKS = {"views": True, "view_length": 32, "fraction": [0.4, 0.6], "block_length": 8.0, "band_probability": 0.5}
INFO = {"classes": ["90"], "tokenizer": TOKENS, "flux_scale": 10.0, "first_mjd": 59575.0}
WIDTH, LAYERS, HEADS, BATCH = 128, 4, 4, 64
OBJECTS, SEED_OBJECTS = 256, 64


def backward(network: nn.Module, batches: Sequence[Batch], precision: str) -> None:
    """Loss and gradients of each batch."""
    for batch in batches:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision != "32-true"):
            found = network(batch)
            loss = sum(found.values()) if isinstance(found, dict) else found.square().mean()
        assert isinstance(loss, Tensor)
        loss.backward()


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print a row each and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args(words).threads
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    records = Records.from_table(simulate(n_objects=OBJECTS, seed=0))
    lengths = records.ragged["mjd"].lengths
    keys = list(BatchSampler(np.arange(OBJECTS), BATCH, shuffle=True, lengths=lengths))
    rows: list[list[Cell]] = []
    rates: dict[str, float] = {}

    def row(name: str, objects: int, work: Callable[[], object], repeats: int = 2) -> None:
        rate = objects / seconds(work, repeats)
        rates[name] = rate
        against = rate / next(iter(rates.values()))
        rows.append([name, rate, against])
        print(f"{name:<62} {rate:>10.1f} light curves/s {against:>9.1f}x", flush=True)

    sets = {
        "fine-tuning": CurveBatches(records, INFO, True),
        "pretraining": CurveBatches(records, INFO | {"pretrain": MASKS}, True),
    }
    published = batch_of(LightCurves.of(sets["pretraining"].records, np.arange(SEED_OBJECTS)), np.random.default_rng(0))
    bert, fast = SeedBert(WIDTH, LAYERS, HEADS), fast_precision("cpu")
    row("published way, float32", SEED_OBJECTS, lambda: backward(bert, [published], "32-true"))
    batches = {name: [made[key] for key in keys] for name, made in sets.items()}
    alone = [{name: value for name, value in b.items() if name != "views"} for b in batches["pretraining"]]
    backbone = PlasticcTransformer(d_model=WIDTH, n_layers=LAYERS, n_heads=HEADS)
    pretrainer, classifier = Pretrainer(backbone, "infonce", "student"), Classifier(backbone, 14)
    for precision in dict.fromkeys(("32-true", fast)):
        said = {"32-true": "float32", "bf16-mixed": "bfloat16"}[precision]
        if precision != "32-true":
            row(f"published way, {said}", SEED_OBJECTS, lambda: backward(bert, [published], fast))
        for name, network, some in (
            ("pretraining", pretrainer, batches["pretraining"]),
            ("pretraining, masks alone", pretrainer, alone),
            ("fine-tuning", classifier, batches["fine-tuning"]),
        ):
            row(f"{name}, {said}", OBJECTS, partial(backward, network, some, precision))

        def score(precision: str = precision) -> None:
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision != "32-true"):
                for batch in batches["fine-tuning"]:
                    classifier(batch)

        classifier.eval()
        row(f"scoring, {said}", OBJECTS, score)
        classifier.train()
    for name, made in sets.items():
        row(f"data path alone, {name}", OBJECTS, partial(lambda made: [made[key] for key in keys], made), 5)
    # The network at its fastest with the whole objective: what the data path must keep fed.
    network_rate = max(rate for name, rate in rates.items() if name.startswith("pretraining, ") and "alone" not in name)
    for cells, (name, rate) in zip(rows, rates.items(), strict=True):
        cells[2:] = [None, rate / network_rate] if "data path" in name else [cells[2], None]
    print(f"data path over pretraining network: {rows[-1][3]:.0f}x")
    write_table(
        "plasticc_training",
        "Speed of the light-curve transformer",
        ["what", "light curves/s", "times the published", "times the pretraining network"],
        rows,
        note=f"Processor time, {threads} thread(s), width {WIDTH}, {LAYERS} layers, batches of {BATCH}; {OBJECTS} objects of the "
        f"twin with {lengths.mean():.0f} observations in the mean. The published way is `benchmarks/seed_pretraining.py`: six "
        "bands joined and padded to 450 tokens, attention with its whole matrix, hidden tokens alone.",
    )


if __name__ == "__main__":
    main()
