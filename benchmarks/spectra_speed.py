"""Speed of the spectra task: reading, twin, fits, input, training and inference; and the score that training reaches.

Run: OMP_NUM_THREADS=1 python -m benchmarks.spectra_speed [--data FOLDER_OF_FITS] [--score]
"""

import argparse
import io
import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import torch
from sklearn.metrics import f1_score
from torch.utils.data import DataLoader, Dataset

from astro_lightning.data.records import Records
from astro_lightning.data.surveys.spectra import read_spectrum
from astro_lightning.methods.resnet import ResNet18
from astro_lightning.tasks.spectra.batches import SpectraBatches, targets
from astro_lightning.tasks.spectra.blackbody import fit_planck, fit_wien
from astro_lightning.tasks.spectra.network import SpectraResNet
from astro_lightning.tasks.spectra.simulate import Twin, simulate
from benchmarks.clock import seconds
from benchmarks.table import write_table

BATCH, N = 64, 256
CLASSES = ["STAR", "GALAXY", "QSO"]
KNOWN_ALONE = (1.0, 1.0, 1.0, 0.0)
# Of the comparison at equal score: twin spectra, passes over them, twin spectra of the test.
N_SCORE, EPOCHS, N_TEST = 1536, 3, 1000
STOCK = "ResNet18 (3.85 M), stock DataLoader over Feather"
PLAIN = "ResNet18 (3.85 M), plain loop over CSV rows"
INPUTS = {
    "form": "channels",
    "n_bins": 1300,
    "log": True,
    "normalisation": "unit",
    "blackbody_channel": False,
    "smooth": False,
    "clip_sigma": None,
    "features": [],
}


def rate(n: int, work, repeats: int = 3, clock=time.process_time) -> float:
    """Objects per second of processor time, or of `clock`, the best of some repeats."""
    return n / seconds(work, repeats, clock)


def step(way: "Way", x, target: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """One optimiser step."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way.bf16):
        loss = torch.nn.functional.cross_entropy(way.network(x).float()[:, :3], target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@dataclass
class Way:
    """A network of this task, the bins of its input and the precision of its products."""

    width: int
    n_bins: int
    bf16: bool

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.network: torch.nn.Module = SpectraResNet(3, 4, width=self.width)

    def batches(self, records: Records, train: bool) -> SpectraBatches:
        """Batches as training or scoring makes them."""
        info = {"classes": CLASSES, "inputs": INPUTS | {"n_bins": self.n_bins}, "augment": {"tilt": 0.6}}
        return SpectraBatches(records, info, train)


class Plain(Way):
    """ResNet18 over all 2,600 pixels, divided by their root sum of squares."""

    def __init__(self) -> None:
        self.bf16 = False
        torch.manual_seed(0)
        self.network = ResNet18(1, 1, 3)

    def batches(self, records: Records, train: bool):  # type: ignore[override]
        """Unit flux of rows."""
        return _UnitFlux(records)


class _UnitFlux:
    def __init__(self, records: Records) -> None:
        self.flux = records.fixed["flux"]

    def __getitem__(self, key: tuple[np.ndarray, int]) -> torch.Tensor:
        x = torch.from_numpy(np.array(self.flux[key[0]], dtype=np.float32))[:, None]
        return x / x.norm(dim=2, keepdim=True)


def ways() -> dict[str, Way]:
    """Name -> way of training, each with new weights."""
    return {
        f"{name}, {n_bins} bins, this task's batches, {'bf16' if bf16 else 'float32'}": Way(width, n_bins, bf16)
        for name, width, n_bins in (
            ("ResNet18 (3.85 M)", 64, 1300),
            ("ResNet18 (3.85 M)", 64, 800),
            ("small ResNet18 (0.24 M)", 16, 1300),
        )
        for bf16 in (False, True)
    }


class FeatherRows(Dataset):
    """A stock data set: one spectrum at a time from a Feather file."""

    def __init__(self, path: Path) -> None:
        self.flux = pyarrow.feather.read_table(path)["flux"].to_pandas()

    def __len__(self) -> int:
        return len(self.flux)

    def __getitem__(self, i: int) -> torch.Tensor:
        x = torch.tensor(np.asarray(self.flux[i]), dtype=torch.float32)
        return (x / x.norm())[None]


def training(table: pa.Table) -> dict[str, float]:
    """Spectra per second of training, fed in three ways."""
    records = Records.from_table(table)
    flux, target = records.fixed["flux"], torch.zeros(BATCH, dtype=torch.long)
    lines = [",".join(f"{v:.6g}" for v in row) for row in flux]
    found = {}
    plain = Plain()
    optimizer = torch.optim.Adam(plain.network.parameters())

    def from_csv() -> None:
        for start in range(0, N, BATCH):
            rows = [
                np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.float32) for text in lines[start : start + BATCH]
            ]
            x = torch.from_numpy(np.stack(rows))[:, None]
            step(plain, x / x.norm(dim=2, keepdim=True), target, optimizer)

    found[PLAIN] = rate(N, from_csv, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.feather"
        pyarrow.feather.write_feather(table.select(["flux"]), path)
        loader = DataLoader(FeatherRows(path), batch_size=BATCH)

        def from_feather() -> None:
            for x in loader:
                step(plain, x, target, optimizer)

        found[STOCK] = rate(N, from_feather, 2)
    for name, way in ways().items():
        batches, optimizer = way.batches(records, True), torch.optim.AdamW(way.network.parameters())

        def ours(way=way, batches=batches, optimizer=optimizer) -> None:
            for start in range(0, N, BATCH):
                step(way, batches[(np.arange(start, start + BATCH), 0)], target, optimizer)

        found[name] = rate(N, ours, 2)
    return found


def learned() -> dict[str, float]:
    """Macro-F1 on new twin spectra after as many passes over the same twin spectra, in the plain way and in ours.

    The stock DataLoader feeds what the plain loop feeds, so their scores are one.
    """
    known, test = (Records.from_table(simulate(n, seed, KNOWN_ALONE)) for n, seed in ((N_SCORE, 1), (N_TEST, 2)))
    wanted, truth = targets(known.labels, CLASSES), targets(test.labels, CLASSES)
    found = {}
    large = {name: way for name, way in ways().items() if name.startswith("ResNet18")}
    for name, way in ({PLAIN: Plain()} | large).items():
        batches, tested = way.batches(known, True), way.batches(test, False)
        optimizer = torch.optim.AdamW(way.network.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=EPOCHS * (N_SCORE // BATCH))
        rng = np.random.default_rng(0)
        for _ in range(EPOCHS):
            for rows in rng.permutation(N_SCORE).reshape(-1, BATCH):
                step(way, batches[(rows, int(rng.integers(2**31)))], torch.from_numpy(wanted[rows]), optimizer)
                schedule.step()
        way.network.eval()
        with torch.inference_mode():
            every = np.arange(N_TEST).reshape(-1, 100)
            decided = torch.cat([way.network(tested[(rows, 0)])[:, :3].argmax(1) for rows in every]).numpy()
        found[name] = float(f1_score(truth, decided, average="macro"))
    return found


def inference(table: pa.Table) -> dict[str, float]:
    """Spectra per second from flux to class: on one core by its processor time, on two by the wall clock."""
    batches = SpectraBatches(Records.from_table(table), {"classes": CLASSES, "inputs": INPUTS}, False)
    found = {}
    for (name, width), cores in itertools.product((("ResNet18 (3.85 M)", 64), ("small ResNet18 (0.24 M)", 16)), (1, 2)):
        network = SpectraResNet(3, 4, width=width).eval()
        torch.set_num_threads(cores)
        clock = time.process_time if cores == 1 else time.perf_counter
        for bf16 in (False, True):

            def score(network=network, bf16=bf16) -> None:
                with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                    for start in range(0, N, BATCH):
                        network(batches[(np.arange(start, start + BATCH), 0)])

            of = "one core" if cores == 1 else "two cores"
            found[f"{name}, from flux to class, {'bf16' if bf16 else 'float32'}, {of}"] = rate(N, score, clock=clock)
    torch.set_num_threads(1)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--score", action="store_true", help="also the score that each way of training reaches")
    parser.add_argument("--data", type=Path, help="folder of LAMOST or SDSS FITS files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = simulate(N, 0)
    flux = np.stack(table["flux"].to_numpy(zero_copy_only=False))
    mask = np.ones(flux.shape, bool)
    twin, label = Twin(), np.arange(600) % 4
    parts = {
        "Preparation": {
            "twin spectra": rate(600, lambda: twin.draw(label, 0)),
            "Wien fits": rate(N, lambda: fit_wien(flux, mask)),
            "Planck fits": rate(N, lambda: fit_planck(flux, mask)),
        },
        "Training": training(table),
        "Inference": inference(table),
    }
    if arguments.data:
        files = sorted(p for p in arguments.data.rglob("spec-*") if p.is_file())
        parts["Preparation"]["FITS files read and resampled"] = rate(
            len(files), lambda: [read_spectrum(f) for f in files]
        )
    plain, stock = (parts["Training"][name] for name in (PLAIN, STOCK))
    scores = learned() if arguments.score else {}
    write_table(
        "spectra_speed",
        "Speed of spectra",
        ["what", "part", "spectra/s", "times the plain loop", "times the stock loader", "macro-F1 on the twin"],
        [
            [
                name,
                part,
                value,
                value / plain if part == "Training" else None,
                value / stock if part == "Training" else None,
                scores.get(name),
            ]
            for part, found in parts.items()
            for name, value in found.items()
        ],
        f"One core, processor time; two cores, wall clock. Score: {EPOCHS} passes over {N_SCORE} twin spectra of known classes, "
        f"{N_TEST} others tested, one seed; the stock loader feeds what the plain loop does.",
        "OMP_NUM_THREADS=1 python -m benchmarks.spectra_speed --data FOLDER_OF_FITS --score",
    )


if __name__ == "__main__":
    main()
