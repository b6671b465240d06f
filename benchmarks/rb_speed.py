"""Rates of the real/bogus chain on one core: packets read, stamps preprocessed, stamps and frames scored.

python -m benchmarks.rb_speed FOLDER_OF_AVRO_PACKETS
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from astro_lightning.data.surveys.alerts_avro import read_packets
from astro_lightning.tasks.rb_c1000.networks import StampNetwork
from astro_lightning.tasks.rb_c1000.preprocess import CHOICES, preprocess
from astro_lightning.tasks.rb_c1000.stamp_features import stamp_features
from astro_lightning.tasks.rb_vae_rnn.heads import Recurrent
from astro_lightning.tasks.rb_vae_rnn.vae import Vae
from benchmarks.clock import seconds
from benchmarks.table import write_table


def rate(work: Callable[[], int], repeats: int = 5) -> float:
    """Objects per second of processor time, the best of several passes after one to warm up."""
    return work() / seconds(work, repeats)


def main(folder: Path) -> None:
    """Measure and write the table."""
    torch.set_num_threads(1)

    def read() -> list[np.ndarray]:
        return [np.stack(packet.cutouts) for _ in range(10) for packet in read_packets(folder)]

    stamps = np.stack([s for s in read() if s.shape == (3, 63, 63)])
    found = {
        "packets read": rate(lambda: len(read())),
        "packets read and preprocessed": rate(lambda: len(preprocess(np.stack(read())))),
        **{f"preprocess={choice}": rate(partial(lambda c: len(preprocess(stamps, c)), choice)) for choice in CHOICES},
        "stamp features": rate(lambda: len(stamp_features(stamps))),
    }
    x = torch.rand(64, 3, 63, 63)
    with torch.inference_mode():
        for backbone in ("vgg6", "resnet18"):
            network = StampNetwork(2, backbone).eval()
            found[backbone] = rate(partial(lambda n: len(n({"stamp": x})), network))
        vae, frames = Vae().eval(), torch.rand(512, 28, 28)
        found["frames embedded"] = rate(lambda: len(vae.encode(frames)[0]))
        lengths = torch.tensor([1000] + [50] * 31)
        for name, of in (("GRU on 32 long sequences", torch.full((32,), 1000)), ("GRU, 31 of them short", lengths)):
            found[f"{name}: sequences"] = 32 / step_seconds(of)
    share = float(lengths.sum()) / 32_000
    write_table(
        "rb_speed",
        "Speed of real/bogus and frame sequences",
        ["what", "per second"],
        list(found.items()),
        f"Stamps of 63 pixels, one core, processor time. The short sequences hold {share:.2f} of the padded batch's frames.",
        "python -m benchmarks.rb_speed FOLDER_OF_AVRO_PACKETS",
    )


def step_seconds(lengths: torch.Tensor) -> float:
    """Processor time of a recurrent head over sequences of these lengths, the best of three."""
    head = Recurrent(8, 2).eval()
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    batch = {"frames": torch.rand(int(offsets[-1]), 8), "offsets": offsets}
    return seconds(lambda: head(batch), 3)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
