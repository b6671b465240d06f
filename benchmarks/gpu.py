"""Networks on a GPU: objects a second in training and scoring, with bfloat16 and torch.compile on and off, and how busy it is.

    python -m benchmarks.gpu [CASE ...] [--device cuda] [--steps 20]

Batches lie on the device already: this is what the networks take, `short_runs` says what the data path gives. On a processor the
rows are printed and not kept.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device
from torch.utils.flop_counter import FlopCounterMode

from astro_lightning.compose import composed
from astro_lightning.core.compiled import compile_networks
from astro_lightning.core.loader import Batch
from astro_lightning.core.stages import make_datamodule, make_module, stages_of
from astro_lightning.core.task import TaskModule
from benchmarks.table import Cell, write_table

# Case -> the words of its configuration, the stage, objects a batch.
CASES: dict[str, tuple[list[str], str, int]] = {
    "plasticc: pretrain": (["task=plasticc"], "pretrain", 256),
    "plasticc: finetune": (["task=plasticc"], "finetune", 512),
    "plasticc: pretrain, packed": (["task=plasticc", "model.packed_on_gpu=true"], "pretrain", 256),
    "plasticc: finetune, packed": (["task=plasticc", "model.packed_on_gpu=true"], "finetune", 512),
    "spectra": (["experiment=spectra_quick"], "classify", 512),
    "rb_c1000: ResNet18": (["experiment=rb_c1000_quick"], "its", 512),
    "rb_vae": (["task=rb_vae"], "vae", 4096),
    "rb_rnn: attention": (["task=rb_rnn", "task.heads=[attention]"], "attention_fold0", 256),
    "scope_table": (["task=scope_table"], "classify", 4096),
}
BATCHES = 4
WARM_UP = 3
SMALLEST = 1000  # objects simulated: a loop needs a pool beside its labels
PEAK = 8192  # rows of the square matrices whose product is the most that the device can do


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print a row each and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)}; default all")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each row")
    parser.add_argument("--objects", type=int, default=None, help="objects a batch; default the case's own")
    args = parser.parse_args(words)
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("gpu: skipped, no GPU is visible to PyTorch")
        return
    warnings.filterwarnings("ignore", message=".*`self.log.*")  # there is no Trainer
    peak = {half: matrix_rate(device, half) for half in (False, True)}
    rows: list[list[Cell]] = []
    for name in args.cases or CASES:
        module, batches = prepared(name, args.objects)
        flops = operations(module, batches)
        module, batches = module.to(device), [move_data_to_device(batch, device) for batch in batches]
        n = sum(len(batch["row"]) for batch in batches) / len(batches)
        for compiled in (False,) if name.endswith("packed") else (False, True):
            if compiled:
                compile_networks(module)
            for half in (False, True):
                how = ("bfloat16" if half else "float32") + (", compiled" if compiled else "")
                training = n / seconds(step(module, half), batches, args.steps, device)
                scoring = n / seconds(scored(module, half), batches, args.steps, device)
                rows.append(
                    [f"{name}, {how}", n, training, scoring, training * flops / 1e12, training * flops / peak[half]]
                )
                print(*rows[-1], sep="\t", flush=True)
    if device.type != "cuda":
        return
    write_table(
        "gpu",
        f"Networks on {torch.cuda.get_device_name(device)}",
        [
            "network",
            "objects a batch",
            "trained/s",
            "scored/s",
            "TFLOP/s in training",
            "of the device's matrix product",
        ],
        rows,
        f"The synthetic twin, batches on the device, {args.steps} steps. Operations are those of matrix products, convolutions and "
        "attention, forward and backward, without padding but in attention; beside them the product of square matrices of "
        f"{PEAK} rows: {peak[False] / 1e12:.0f} TFLOP/s in float32, {peak[True] / 1e12:.0f} in bfloat16.",
        "python -m benchmarks.gpu",
        [0],
    )


def prepared(name: str, objects: int | None) -> tuple[TaskModule, list[Batch]]:
    """The stage's untrained module and batches of its training objects."""
    words, stage_name, size = CASES[name]
    size = objects or size
    cfg = composed(*words, f"batch_size={size}", f"data.simulation.n_objects={max(2 * BATCHES * size, SMALLEST)}")
    stage = next(stage for stage in stages_of(cfg) if stage["name"] == stage_name)
    datamodule = make_datamodule(cfg, stage)
    module = make_module(cfg, stage, datamodule.info())
    module.configure_model()
    return module, [batch for _, batch in zip(range(BATCHES), datamodule.loader("train"), strict=False)]


def step(module: TaskModule, half: bool) -> Callable[[Batch], Any]:
    """One step of training."""
    optimizer = torch.optim.AdamW(module.parameters(), 1e-4)

    def work(batch: Batch) -> None:
        module.train()
        with torch.autocast(module.device.type, dtype=torch.bfloat16, enabled=half):
            loss = module.training_step(batch, 0)
        assert loss is not None
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return work


def scored(module: TaskModule, half: bool) -> Callable[[Batch], Any]:
    """One batch of predictions."""

    @torch.inference_mode()
    def work(batch: Batch) -> None:
        module.eval()
        with torch.autocast(module.device.type, dtype=torch.bfloat16, enabled=half):
            module.predict_step(batch)

    return work


def seconds(work: Callable[[Batch], Any], batches: list[Batch], steps: int, device: torch.device) -> float:
    """Wall-clock seconds of a step, after some to warm up and to compile for every batch's shape."""
    for i in range(max(WARM_UP, len(batches))):
        work(batches[i % len(batches)])
    wait(device)
    start = time.perf_counter()
    for i in range(steps):
        work(batches[i % len(batches)])
    wait(device)
    return (time.perf_counter() - start) / steps


def operations(module: TaskModule, batches: list[Batch]) -> float:
    """Operations of a training step, an object; counted on a processor, where padding takes part in attention alone."""
    with FlopCounterMode(display=False) as counter:
        for batch in batches:
            step(module, half=False)(batch)
    return counter.get_total_flops() / sum(len(batch["row"]) for batch in batches)


def matrix_rate(device: torch.device, half: bool) -> float:
    """Operations a second of a large matrix product."""
    n = PEAK if device.type == "cuda" else 512
    x = torch.randn(n, n, device=device, dtype=torch.bfloat16 if half else torch.float32)
    return 2 * n**3 / seconds(lambda _: x @ x, [{}], 10, device)


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
