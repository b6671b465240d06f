"""Which frame made the decision: what the log-odds lose without it, and where the head's attention lies."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.data.records import Records
from astro_lightning.report.style import ACCENT, BAD, FAINT, MUTED, save_png, styled
from astro_lightning.tasks.rb_vae_rnn.frames import take_frames
from astro_lightning.tasks.rb_vae_rnn.sequences import frame_inputs

N_OBJECTS, MOST_FRAMES = 6, 100
CAPTION = (
    "Validation objects whose probability p of an artefact is above the run's threshold, those first where one frame counts"
    " most. Bars: how far the log-odds of an artefact fall without the frame. Line: the head's attention, mean over its heads."
    " Right: the frame that made the decision, and the frame that counts least."
)


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


def draw_deciding_frames(module: Any, datamodule: Any, folder: Path) -> None:
    """Write `plots/deciding_frames.png` of validation objects; nothing where their frames are not kept.

    Args:
        module: A trained `EncodedModule` in evaluation mode.
        datamodule: The embeddings it was trained on; the survey's frames are found beside them in the cache.
        folder: The run folder.
    """
    kept = RecordsData.records_folder(datamodule)
    if not kept.exists():
        return
    survey, records, d = Records.open(kept), datamodule.records, module.info["latent_dims"]
    row_of = {one: row for row, one in enumerate(survey.ids.tolist())}
    found = []
    for row in datamodule.splits["val"]:
        mu, logvar = (records.ragged[name].take(np.array([row]))[0].reshape(-1, d) for name in ("mu", "logvar"))
        shown = np.unique(np.linspace(0, len(mu) - 1, MOST_FRAMES).round().astype(int))
        if len(mu) < 2:
            continue
        batch = datamodule.dataset(records, module.info)[(np.array([row]), 0)]
        with torch.inference_mode():
            probability = float(module({k: v.to(module.device) for k, v in batch.items()}).softmax(-1)[0, 0])
        if probability > float(module.threshold):
            fall, attention = evidence(module, mu[shown], logvar[shown])
            pictures = take_frames(survey, np.array([row_of[records.ids[row]]]))[0][shown]
            found.append((f"{records.ids[row]}  p = {probability:.2f}", shown, fall, attention, pictures))
    if not found:
        return
    found.sort(key=lambda one: -one[2].max())
    plots = folder / "plots"
    plots.mkdir(exist_ok=True)
    save_png(_figure(found[:N_OBJECTS]), plots / "deciding_frames.png")
    (plots / "deciding_frames.txt").write_text(CAPTION)


@styled
def _figure(found: list[tuple[str, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]]) -> Figure:
    figure = Figure(figsize=(9, 1.6 * len(found) + 0.3), layout="constrained")
    grid = figure.subplots(len(found), 3, width_ratios=[4, 1, 1], squeeze=False)
    for (title, number, fall, attention, pictures), (time, most, least) in zip(found, grid):
        deciding = int(fall.argmax())
        colours = [BAD if i == deciding else FAINT for i in range(len(fall))]
        time.bar(number, fall, 0.8 * np.diff(number, append=number[-1] + 1), color=colours)
        time.set_title(title)
        time.set_ylabel("fall of log-odds")
        time.xaxis.set_major_locator(MaxNLocator(integer=True))
        if attention is not None:
            weights = time.twinx()
            weights.plot(number, attention, ".-", color=ACCENT, linewidth=1, markersize=3)
            weights.set_ylim(0, None)
            weights.set_ylabel("attention", color=ACCENT)
            weights.grid(False)
        for axes, i in ((most, deciding), (least, int(np.abs(fall).argmin()))):
            low, high = np.nanpercentile(pictures[i], [1, 99.5]) if np.isfinite(pictures[i]).any() else (0, 1)
            axes.imshow(pictures[i], cmap="gray", vmin=low, vmax=high, origin="lower")
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            axes.set_title(f"frame {number[i]}", color=BAD if i == deciding else MUTED)
    grid[-1][0].set_xlabel("frame, in order of time")
    return figure
