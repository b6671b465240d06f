"""One network for all tags against a network for each, on the features of a finished run.

    python -m benchmarks.scope_multilabel RUN_FOLDER [--epochs 60] [--epochs-each 25] [--seed 0]

Same objects, inputs (features at the chosen periods, dm-dt image), scaling, optimizer and thresholds (of the highest F1 expected
from the probabilities of the validation objects); the single networks are the published ones (head of 16 units), the joint one is
`task=scope`'s: 128 units, the types learned beside the tags, a tag's probability the mean of its own and its share of the types.
"""

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
import yaml
from sklearn.metrics import f1_score
from torch import Tensor, nn

from astro_lightning.core.stages import make_datamodule, stages_of
from astro_lightning.tasks.scope.module import expected_f1_threshold, tags_of_types
from astro_lightning.tasks.scope.network import ScopeNetwork
from astro_lightning.tasks.scope.scaling import Preparation
from benchmarks.table import Cell, write_table

BATCH = 256
NAMES = ("features", "dmdt", "tags", "target")
Part = dict[str, Tensor]


def parts_of(run: Path) -> tuple[dict[str, Part], list[str], Tensor]:
    """Features, images, tags and types of the train, val and test objects of a run, the tags' names, the tags of each type."""
    cfg = yaml.safe_load((run / "config.yaml").read_text())
    stage = next(stage for stage in stages_of(cfg) if stage["name"] == "classify")
    stage["datamodule"]["score"] = str(run / "checkpoints" / "periods" / "score.npy")
    data = make_datamodule(cfg, stage)
    parts = {}
    for part in ("train", "val", "test"):
        batches = list(data.loader(part))
        parts[part] = {name: torch.cat([batch[name] for batch in batches]) for name in NAMES}
    return parts, data.info()["tags"], torch.from_numpy(tags_of_types(data.info())).float()


def trained(
    parts: dict[str, Part], columns: list[int], head: int, epochs: int, seed: int, share: Tensor | None = None
) -> dict[int, float]:
    """Column -> F1 on the test objects of one network for these columns of the tags; with `share` it learns the types too."""
    torch.manual_seed(seed)
    train, val = parts["train"], parts["val"]
    types = 0 if share is None else len(share)
    network = ScopeNetwork(train["features"].shape[1], types + len(columns), head=head)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    steps = epochs * (len(train["tags"]) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def loss_of(logits: Tensor, part: Part) -> Tensor:
        loss = nn.functional.binary_cross_entropy_with_logits(logits[:, types:], part["tags"][:, columns])
        return loss + nn.functional.cross_entropy(logits[:, :types], part["target"]) if types else loss

    def probability(part: Part) -> Tensor:
        logits = scored(network, part)
        own = logits[:, types:].sigmoid()
        return own if share is None else (own + logits[:, :types].softmax(1) @ share[:, columns]) / 2

    best: tuple[float, dict[str, Tensor]] = (float("inf"), {})
    for _ in range(epochs):
        network.train()
        order = torch.randperm(len(train["tags"]))
        for rows in order[: len(order) // BATCH * BATCH].split(BATCH):
            batch = {name: values[rows] for name, values in train.items()}
            loss = loss_of(network(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        error = float(loss_of(scored(network, val), val))
        if error < best[0]:
            best = error, copy.deepcopy(network.state_dict())
    network.load_state_dict(best[1])
    given = (probability(parts["test"]) > expected_f1_threshold(probability(val))).numpy()
    truth = parts["test"]["tags"][:, columns].numpy()
    return {c: float(f1_score(truth[:, i], given[:, i], zero_division=0)) for i, c in enumerate(columns)}


@torch.inference_mode()
def scored(network: nn.Module, part: Part) -> Tensor:
    """Logits of all rows."""
    network.eval()
    pairs = zip(part["features"].split(1024), part["dmdt"].split(1024))
    return torch.cat([network({"features": features, "dmdt": image}) for features, image in pairs])


def main() -> None:
    """Train, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=int, default=60, help="of the joint network")
    parser.add_argument("--epochs-each", type=int, default=25, help="of each single network")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    parts, tags, share = parts_of(given.run)
    preparation = Preparation(parts["train"]["features"].shape[1], "quantile")
    preparation.fit(parts["train"]["features"])
    for part in parts.values():
        part["features"] = preparation(part["features"].float())
    every = list(range(len(tags)))
    joint = trained(parts, every, 128, given.epochs, given.seed, share)
    single = {c: trained(parts, [c], 16, given.epochs_each, given.seed)[c] for c in every}
    rows: list[list[Cell]] = [[tags[c], int(parts["test"]["tags"][:, c].sum()), single[c], joint[c]] for c in every]
    means = [float(np.mean(list(found.values()))) for found in (single, joint)]
    write_table(
        "scope_multilabel",
        "One network for all tags against a network for each: F1",
        ["tag", "positives", "a network each", "one network"],
        [*rows, ["mean", None, *means]],
        f"Catalina, {len(parts['train']['tags'])} objects to learn from, {len(parts['test']['tags'])} tested, "
        f"{given.epochs_each} epochs of a network each, {given.epochs} of the joint one (which are fewer in all).",
        f"python -m benchmarks.scope_multilabel RUN_FOLDER --epochs {given.epochs} --epochs-each {given.epochs_each}",
        [given.seed],
    )
    print(f"a network each {means[0]:.4f}, one network {means[1]:.4f}")


if __name__ == "__main__":
    main()
