"""Rates of the real/bogus chain on one core: packets read, stamps preprocessed, stamps and frames scored.

python benchmarks/rb_speed.py ../shared/data/realbogus/avro/ztf_kowalski
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from astro_lightning.data.surveys.alerts_avro import read_packets
from astro_lightning.tasks.rb_c1000.networks import StampNetwork
from astro_lightning.tasks.rb_c1000.preprocess import CHOICES, preprocess
from astro_lightning.tasks.rb_c1000.stamp_features import stamp_features
from astro_lightning.tasks.rb_vae_rnn.heads import Recurrent
from astro_lightning.tasks.rb_vae_rnn.vae import Vae


def rate(work: Callable[[], int], repeats: int = 5) -> float:
    """Objects per second of processor time, the best of several passes after one to warm up."""
    work()
    best = 0.0
    for _ in range(repeats):
        start = time.process_time()
        best = max(best, work() / (time.process_time() - start))
    return best


def main(folder: Path) -> None:
    """Measure and print."""
    torch.set_num_threads(1)

    def read() -> list[np.ndarray]:
        return [np.stack(packet.cutouts) for _ in range(10) for packet in read_packets(folder)]

    stamps = np.stack([s for s in read() if s.shape == (3, 63, 63)])
    print(f"packets read                      {rate(lambda: len(read())):10.0f} /s")
    print(f"packets read and preprocessed     {rate(lambda: len(preprocess(np.stack(read())))):10.0f} /s")
    for choice in CHOICES:
        print(f"preprocess={choice:10s}             {rate(lambda c=choice: len(preprocess(stamps, c))):10.0f} /s")
    print(f"stamp features                    {rate(lambda: len(stamp_features(stamps))):10.0f} /s")
    x = torch.rand(64, 3, 63, 63)
    with torch.inference_mode():
        for backbone in ("vgg6", "resnet18"):
            network = StampNetwork(2, backbone).eval()
            print(f"{backbone:8s} 63 px                    {rate(lambda n=network: len(n({'stamp': x}))):10.0f} /s")
        vae, frames = Vae().eval(), torch.rand(512, 28, 28)
        print(f"frames embedded                   {rate(lambda: len(vae.encode(frames)[0])):10.0f} /s")
        lengths = torch.tensor([1000] + [50] * 31)
        uneven, padded = step_seconds(lengths), step_seconds(torch.full((32,), 1000))
        share = float(lengths.sum()) / 32_000
        print(
            f"GRU step, 31 of 32 sequences short: {uneven / padded:.2f} of the padded batch's time for {share:.2f} of its frames"
        )


def step_seconds(lengths: torch.Tensor) -> float:
    """Processor time of a recurrent head over sequences of these lengths, the best of three."""
    head = Recurrent(8, 2).eval()
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    batch = {"frames": torch.rand(int(offsets[-1]), 8), "offsets": offsets}
    return 1 / rate(lambda: len(head(batch)) // len(lengths), 3)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
