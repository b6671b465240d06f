"""Light curves per second of processor time: the data path alone, a pretraining step, a fine-tuning step, scoring.

python benchmarks/plasticc_training.py --threads 1
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from astro_lightning.core.loader import BatchSampler
from astro_lightning.core.trainer import fast_precision
from astro_lightning.data.records import Records
from astro_lightning.tasks.plasticc.data import CurveBatches
from astro_lightning.tasks.plasticc.network import Classifier, Pretrainer
from astro_lightning.tasks.plasticc.simulate import simulate
from astro_lightning.tasks.plasticc.transformer import PlasticcTransformer

TOKENS = {
    "kind": "continuous",
    "metadata": ["photoz", "photoz_err", "mwebv", "ddf"],
    "shift_days": 20.0,
    "metadata_dropout": 0.2,
}
MASKS = {"views": True, "fraction": [0.4, 0.6], "block_length": 8.0, "band_probability": 0.5}
INFO = {"classes": ["90"], "tokenizer": TOKENS, "flux_scale": 10.0, "first_mjd": 59575.0}


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Processor seconds of one call, the best of several after one to warm up."""
    work()
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Print one row a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    records = Records.from_table(simulate(n_objects=1024, seed=0))
    lengths = records.ragged["mjd"].lengths
    rows, seed = next(iter(BatchSampler(np.arange(1024), chosen.batch, shuffle=True, lengths=lengths)))
    sets = {
        "fine-tuning": CurveBatches(records, INFO, True),
        "pretraining": CurveBatches(records, INFO | {"pretrain": MASKS}, True),
    }
    batches = {name: made[(rows, seed)] for name, made in sets.items()}
    print(
        f"width 128, 4 layers, batch {chosen.batch}, at most {int(lengths[rows].max())} observations, {chosen.threads} thread(s)"
    )
    for name, made in sets.items():
        print(
            f"{'data path, ' + name:<40} {chosen.batch / seconds(lambda made=made: made[(rows, seed)]):>10.0f} light curves/s"
        )
    backbone = PlasticcTransformer(d_model=128, n_layers=4, n_heads=4)
    networks = {"pretraining": Pretrainer(backbone, "infonce", "student"), "fine-tuning": Classifier(backbone, 14)}
    for precision in dict.fromkeys(("32-true", fast_precision("cpu"))):
        for name, network in networks.items():

            def step(network: torch.nn.Module = network, name: str = name, precision: str = precision) -> None:
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision != "32-true"):
                    found = network(batches[name])
                    loss = sum(found.values()) if isinstance(found, dict) else found.square().mean()
                loss.backward()

            print(f"{name + ', step, ' + precision:<40} {chosen.batch / seconds(step):>10.0f} light curves/s")

        def score(precision: str = precision) -> None:
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision != "32-true"):
                networks["fine-tuning"](batches["fine-tuning"])

        print(f"{'scoring, ' + precision:<40} {chosen.batch / seconds(score):>10.0f} light curves/s")


if __name__ == "__main__":
    main()
