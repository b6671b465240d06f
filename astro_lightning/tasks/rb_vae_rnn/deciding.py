"""Which frame made the decision: what the log-odds lose without it, and where the head's attention lies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import BatchSampler, make_loader
from astro_lightning.data.records import Records
from astro_lightning.report.style import ACCENT, BAD, FAINT, MUTED, save_picture, styled
from astro_lightning.tasks.rb_vae_rnn.frames import take_frames
from astro_lightning.tasks.rb_vae_rnn.sequences import frame_inputs

N_OBJECTS, N_MISTAKES, MOST_FRAMES = 6, 3, 100
CAPTION = (
    "First objects of the first fold's test that its first head judged wrongly, the surest first; then validation objects that it"
    " calls artefacts, those first where one frame counts most. p: probability of an artefact. Bars: how far the log-odds of an"
    " artefact fall without the frame. Line: the head's attention, mean over its heads. Right: the frame that made the decision,"
    " and the frame that counts least."
)


@dataclass(frozen=True)
class Decision:
    """One object, and what its frames added to the decision.

    Attributes:
        title: Who it is and what was said of it.
        called: Whether it was called the first class.
        number: (n,) numbers of the frames that are shown.
        fall: (n,) fall of the first class's log-odds without each.
        attention: (n,) of the head; None where it has none.
        pictures: (n, side, side).
    """

    title: str
    called: bool
    number: np.ndarray
    fall: np.ndarray
    attention: np.ndarray | None
    pictures: np.ndarray

    @property
    def deciding(self) -> int:
        """Which frame spoke most for what the object was called."""
        return int((self.fall if self.called else -self.fall).argmax())


@torch.inference_mode()
def evidence(module: Any, mu: np.ndarray, logvar: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """What each frame of one object adds to the decision.

    Args:
        module: A trained `EncodedModule`.
        mu: (n_frames, latent_dims), at least two frames.
        logvar: (n_frames, latent_dims).

    Returns:
        Fall of the first class's log-odds without each frame, (n_frames,), and the attention on each, None for a head that
        has none.
    """
    n = len(mu)
    index = np.concatenate([np.arange(n), np.nonzero(~np.eye(n, dtype=bool))[1]])
    offsets = np.concatenate([[0], n + (n - 1) * np.arange(n + 1)])
    frames = torch.from_numpy(frame_inputs(mu[index], logvar[index], offsets, module.info)).to(module.device)
    logits = module({"frames": frames, "offsets": torch.from_numpy(offsets).to(module.device)})
    odds = (logits[:, 0] - logits[:, 1]).cpu().numpy()
    head = module.network["head"]
    if not hasattr(head, "attention"):
        return odds[0] - odds[1:], None
    whole = torch.tensor([0, n], device=module.device)
    return odds[0] - odds[1:], head.attention(frames[:n], whole).mean(1).cpu().numpy()


@torch.inference_mode()
def first_class(module: Any, datamodule: Any, rows: np.ndarray) -> np.ndarray:
    """Probability of the first class, (n_rows,)."""
    data = datamodule.dataset(datamodule.records, module.info)
    batches = make_loader(data, BatchSampler(rows, datamodule.batch_size))
    logits = [module(move_data_to_device(batch, module.device)) for batch in batches]
    return torch.cat(logits).softmax(-1)[:, 0].cpu().numpy()


def decisions(module: Any, datamodule: Any, survey: Records) -> list[Decision]:
    """Up to three test objects that were judged wrongly, the surest first; then validation objects of the first class.

    Args:
        module: A trained `EncodedModule` in evaluation mode.
        datamodule: The embeddings it was trained on, set up.
        survey: The frames of the same objects.
    """
    records, d = datamodule.records, module.info["latent_dims"]
    row_of = {one: row for row, one in enumerate(survey.ids.tolist())}
    classes, threshold = module.info["classes"], float(module.threshold)
    several = records.ragged["mu"].lengths >= 2 * d

    def decision(row: int, probability: float, said: str) -> Decision:
        mu, logvar = (records.ragged[name].take(np.array([row]))[0].reshape(-1, d) for name in ("mu", "logvar"))
        shown = np.unique(np.linspace(0, len(mu) - 1, MOST_FRAMES).round().astype(int))
        pictures = take_frames(survey, np.array([row_of[records.ids[row]]]))[0][shown]
        title = f"{records.ids[row]}  {said}  p = {probability:.2f}"
        return Decision(title, probability > threshold, shown, *evidence(module, mu[shown], logvar[shown]), pictures)

    tested, held = (rows[several[rows]] for rows in (datamodule.splits["test"], datamodule.splits["val"]))
    probability = first_class(module, datamodule, tested)
    wrong = np.flatnonzero((probability > threshold) != (records.labels[tested] == classes[0]))
    wrong = wrong[np.argsort(-np.abs(probability[wrong] - threshold), kind="stable")][:N_MISTAKES]
    mistakes = [
        decision(row, p, f"test: {records.labels[row]} called {classes[0 if p > threshold else 1]}")
        for row, p in zip(tested[wrong], probability[wrong])
    ]
    probability = first_class(module, datamodule, held)
    called = probability > threshold
    rest = [decision(row, p, "validation") for row, p in zip(held[called], probability[called])]
    return mistakes + sorted(rest, key=lambda one: -one.fall.max())[: N_OBJECTS - len(mistakes)]


def draw_deciding_frames(module: Any, datamodule: Any, folder: Path) -> None:
    """Write `plots/deciding_frames.png` into the run folder; nothing where the survey's frames are not in the cache."""
    kept = RecordsData.records_folder(datamodule)
    found = decisions(module, datamodule, Records.open(kept)) if kept.exists() else []
    if found:
        save_picture(folder, "deciding_frames", _figure(found), CAPTION)


@styled
def _figure(found: list[Decision]) -> Figure:
    figure = Figure(figsize=(9, 1.6 * len(found) + 0.3), layout="constrained")
    grid = figure.subplots(len(found), 3, width_ratios=[4, 1, 1], squeeze=False)
    for one, (time, most, least) in zip(found, grid):
        number, fall, deciding = one.number, one.fall, one.deciding
        colours = [BAD if i == deciding else FAINT for i in range(len(fall))]
        time.bar(number, fall, 0.8 * np.diff(number, append=number[-1] + 1), color=colours)
        time.set_title(one.title)
        time.set_ylabel("fall of log-odds")
        time.xaxis.set_major_locator(MaxNLocator(integer=True))
        if one.attention is not None:
            weights = time.twinx()
            weights.plot(number, one.attention, ".-", color=ACCENT, linewidth=1, markersize=3)
            weights.set_ylim(0, None)
            weights.set_ylabel("attention", color=ACCENT)
            weights.grid(False)
        for axes, i in ((most, deciding), (least, int(np.abs(fall).argmin()))):
            low, high = np.nanpercentile(one.pictures[i], [1, 99.5]) if np.isfinite(one.pictures[i]).any() else (0, 1)
            axes.imshow(one.pictures[i], cmap="gray", vmin=low, vmax=high, origin="lower")
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            axes.set_title(f"frame {number[i]}", color=BAD if i == deciding else MUTED)
    grid[-1][0].set_xlabel("frame, in order of time")
    return figure
