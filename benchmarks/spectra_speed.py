"""Speed of the spectra task on one core: reading, twin, fits, input, training and inference.

Run: OMP_NUM_THREADS=1 python -m benchmarks.spectra_speed [--data FOLDER_OF_FITS]
"""

import argparse
import io
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import torch
from torch.utils.data import DataLoader, Dataset

from astro_lightning.data.records import Records
from astro_lightning.data.surveys.spectra import read_spectrum
from astro_lightning.methods.resnet import ResNet18
from astro_lightning.tasks.spectra.batches import SpectraBatches
from astro_lightning.tasks.spectra.blackbody import fit_planck, fit_wien
from astro_lightning.tasks.spectra.network import SpectraResNet
from astro_lightning.tasks.spectra.simulate import Twin, simulate
from benchmarks.clock import seconds
from benchmarks.table import write_table

BATCH, N = 64, 256
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


def rate(n: int, work, repeats: int = 3) -> float:
    """Objects per second of processor time, the best of some repeats."""
    return n / seconds(work, repeats)


def step(
    network: torch.nn.Module, x, target: torch.Tensor, optimizer: torch.optim.Optimizer, bf16: bool = False
) -> None:
    """One optimiser step."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        loss = torch.nn.functional.cross_entropy(network(x).float(), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


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
    plain = ResNet18(1, 1, 3)
    optimizer = torch.optim.Adam(plain.parameters())

    def from_csv() -> None:
        for start in range(0, N, BATCH):
            rows = [
                np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.float32) for text in lines[start : start + BATCH]
            ]
            x = torch.from_numpy(np.stack(rows))[:, None]
            step(plain, x / x.norm(dim=2, keepdim=True), target, optimizer)

    found["ResNet18 (3.85 M), plain loop over CSV rows"] = rate(N, from_csv, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.feather"
        pyarrow.feather.write_feather(table.select(["flux"]), path)
        loader = DataLoader(FeatherRows(path), batch_size=BATCH)

        def from_feather() -> None:
            for x in loader:
                step(plain, x, target, optimizer)

        found["ResNet18 (3.85 M), stock DataLoader over Feather"] = rate(N, from_feather, 1)
    batches = SpectraBatches(
        records, {"classes": ["STAR", "GALAXY", "QSO"], "inputs": INPUTS, "augment": {"tilt": 0.6}}, True
    )
    for name, width in (("ResNet18 (3.85 M)", 64), ("small ResNet18 (0.24 M)", 16)):
        network = SpectraResNet(3, 4, width=width)
        optimizer = torch.optim.AdamW(network.parameters())
        for bf16 in (False, True):

            def ours(network=network, optimizer=optimizer, bf16=bf16) -> None:
                for start in range(0, N, BATCH):
                    step(network, batches[(np.arange(start, start + BATCH), 0)], target, optimizer, bf16)

            found[f"{name}, this task's batches with augmentation, {'bf16' if bf16 else 'float32'}"] = rate(N, ours, 2)
    return found


def inference(table: pa.Table) -> dict[str, float]:
    """Spectra per second from flux to class."""
    batches = SpectraBatches(Records.from_table(table), {"classes": ["STAR", "GALAXY", "QSO"], "inputs": INPUTS}, False)
    found = {}
    for name, width in (("ResNet18 (3.85 M)", 64), ("small ResNet18 (0.24 M)", 16)):
        network = SpectraResNet(3, 4, width=width).eval()
        for bf16 in (False, True):

            def score(network=network, bf16=bf16) -> None:
                with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                    for start in range(0, N, BATCH):
                        network(batches[(np.arange(start, start + BATCH), 0)])

            found[f"{name}, from flux to class, {'bf16' if bf16 else 'float32'}"] = rate(N, score)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
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
    plain = parts["Training"]["ResNet18 (3.85 M), plain loop over CSV rows"]
    write_table(
        "spectra_speed",
        "Speed of spectra",
        ["what", "part", "spectra/s", "times the plain loop"],
        [
            [name, part, value, value / plain if part == "Training" else None]
            for part, found in parts.items()
            for name, value in found.items()
        ],
        "One core, processor time.",
        "OMP_NUM_THREADS=1 python -m benchmarks.spectra_speed --data FOLDER_OF_FITS",
    )


if __name__ == "__main__":
    main()
