"""docs/scale.md from benchmarks/results/scale.json: what was measured, and what surveys would take at that rate."""

import json
from pathlib import Path

from benchmarks.table import markdown, number

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
NAMES = {
    "features": "candidates with 38 features, boosted trees (DES)",
    "spectra": "spectra, small ResNet (LAMOST, SDSS, BOSS)",
    "stamps": "stamps of 63 pixels, ResNet18 (ZTF)",
    "variables": "light curves of one band, period search and network (Catalina)",
    "curves": "light curves of six bands, transformer (MALLORN)",
}
# Survey -> row whose rate it is computed from, objects.
SURVEYS = {
    "a night of Rubin: 7e6 alerts, their stamps": ("stamps", 7_000_000),
    "a night of Rubin: 7e6 alerts, features alone": ("features", 7_000_000),
    "PLAsTiCC: 3.5e6 objects": ("curves", 3_500_000),
    "a ZTF data release: 4e9 light curves, periods searched": ("variables", 4_000_000_000),
}
STEADY = "objects/s while scoring"
EUR_PER_CORE_HOUR = 0.04  # a core of a rented machine, about; on-demand prices of 2025 lie between 0.03 and 0.05


def page(results: Path) -> str:
    """The page as Markdown."""
    content = json.loads(results.read_text())
    rows = [dict(zip(content["columns"], row)) for row in content["rows"]]
    for row in rows:
        row["kind"] = row["row"].split(",")[0]
    head = ["what is scored", "objects", "processes", "seconds", "processor s", "peak GiB", STEADY, "over one process"]
    one = {(row["kind"], row["objects"]): row for row in rows if row["processes"] == 1}
    measured = [
        [
            NAMES[row["kind"]],
            f"{row['objects']:,}",
            str(row["processes"]),
            f"{row['wall s']:.1f}",
            f"{row['processor s']:.1f}",
            f"{row['peak GiB']:.2f}",
            "" if row[STEADY] is None else number(row[STEADY]),
            gain(row, one[row["kind"], row["objects"]]) if row["processes"] > 1 else "",
        ]
        for row in rows
    ]
    rates = {kind: rate(rows, kind) for kind in NAMES if any(row["kind"] == kind for row in rows)}
    computed = [survey(name, kind, n, *rates[kind]) for name, (kind, n) in SURVEYS.items() if kind in rates]
    linear = [
        [NAMES[kind], f"{start:.1f}" if start else "in the rate", number(1 / per), f"{1000 * per:.3g}"]
        for kind, (start, per, _) in rates.items()
    ]
    return TEXT.format(
        machine=content["machine"], note=content["note"], made=content["made"], command=content["command"],
        cost=EUR_PER_CORE_HOUR,
        measured=markdown(head, measured),
        efficiency=efficiency(rows, rates),
        linear=markdown(["what is scored", "start-up, processor s", "objects a core and second", "ms an object"], linear),
        computed=markdown(["survey", "core hours", "on 64 cores", "memory of 64 cores", "cost, EUR"], computed),
    )  # fmt: skip


def write_page(results: Path) -> None:
    """Write the page."""
    PAGE.write_text(page(results))
    print(f"written: {PAGE.relative_to(PAGE.parents[1])}")


def gain(row: dict, one: dict) -> str:
    """How much faster than one process: while scoring, and from the shell to the file."""
    steady = "" if row[STEADY] is None or one[STEADY] is None else f"{row[STEADY] / one[STEADY]:.2f}x while scoring, "
    return f"{steady}{one['wall s'] / row['wall s']:.2f}x in all"


def efficiency(rows: list[dict], rates: dict[str, tuple[float, float, float]]) -> str:
    """What the processor seconds say of several processes, each of which starts up, whatever else ran on the machine."""
    words = []
    for row in rows:
        n = row["processes"]
        if n > 1:
            start, per, _ = rates[row["kind"]]
            spent = row["processor s"] - (n + 1) * start
            gained = min(n, n * per * row["objects"] / spent)
            words.append(
                f"{n} processes spend {spent / row['objects'] * 1000:.3g} ms on one of the {row['kind']} where one spends "
                f"{per * 1000:.3g} ms: {gained:.2f}x while scoring, computed, where {n} cores are free."
            )
    return " ".join(words)


def rate(rows: list[dict], kind: str) -> tuple[float, float, float]:
    """Start-up (processor s), processor seconds an object, and peak GiB of one process, from the smallest and the largest file."""
    own = sorted((row for row in rows if row["kind"] == kind and row["processes"] == 1), key=lambda row: row["objects"])
    small, large = own[0], own[-1]
    if small is large:
        return 0.0, large["processor s"] / large["objects"], large["peak GiB"]
    per = (large["processor s"] - small["processor s"]) / (large["objects"] - small["objects"])
    return small["processor s"] - per * small["objects"], per, large["peak GiB"]


def survey(name: str, kind: str, n: int, start: float, per: float, peak: float) -> list[str]:
    """A row: core hours, wall clock on 64 cores, memory, cost."""
    hours = n * per / 3600
    wall = hours / 64
    short = f"{wall * 3600:.0f} s" if wall < 1 / 30 else f"{wall * 60:.0f} min"
    words = short if wall < 2 else f"{wall:,.0f} h" if wall < 48 else f"{wall / 24:,.0f} days"
    cost = hours * EUR_PER_CORE_HOUR
    shown = (f"{value:,.0f}" if value >= 10 else f"{value:.2f}" for value in (hours, cost))
    return [name, next(shown), words, f"{64 * peak:.0f} GiB", next(shown)]


TEXT = """# Beyond one machine

For more objects than memory, catalogues, alert streams, and training on several devices. Files, catalogues and streams
are all scored by one function, `Scorer.predict_table(table) -> table`. The score of an object depends on that object
alone, to the last bit, so the three agree. Only columns that describe a whole file (`ood_flag`, class proportions,
`prob_99` and, with it, PLAsTiCC's other classes) depend on the other objects in it.

## Files

```sh
astro-lightning score LIGHT_CURVES.parquet --ckpt RUN --out scores.parquet --workers 2
```

The input is read in chunks of at most `--memory-gib`. Every 512 objects a part is saved beside the output; a command
that was killed continues after the last part if you give it again. With another input or checkpoint it starts anew.
Columns that need all objects together (flags at a false-discovery rate, class proportions of a survey) are computed at
the end: over all objects if their scores fit into `--memory-gib`, else over blocks of that size, and a warning says so.
`--batch N` scores N objects at a time. This is faster for short curves and on a GPU, but the last bits of a score then
depend on the other objects in the batch.

## Catalogues

```sh
# needs LSDB (pip install 'astro-lightning[catalogue]') and a finished run
astro-lightning score CATALOGUE --data catalina --ckpt RUN --out SCORES --workers 2
```

A [HATS](https://hats.readthedocs.io) catalogue is scored with LSDB and Dask: on a local cluster of `--workers N`, or on
an existing one with `--scheduler ADDRESS`. Light curves are nested columns. The survey's own reader (`--data`) reads
each partition, so the columns have the names that they have in the survey's files. The output has the same partitions,
with position, `id`, and the columns of the task. Partitions that are scored survive a kill.

## Streams

```sh
# needs a broker, a finished run and pip install 'astro-lightning[stream]'
astro-lightning score kafka://HOST:9092/alerts --ckpt RUN --out FOLDER --group mine
astro-lightning score kafka://HOST:9092/alerts --ckpt RUN --out kafka://HOST:9092/scores --schemas https://REGISTRY
```

ZTF's packets contain their schema; Rubin's need an `.avsc` file or the address of a schema registry (`--schemas`). Up
to `--micro-batch` alerts are scored together, written, and only then committed. In a folder, the file names say which
messages they hold: even after `kill -9` no alert is missing and none is there twice. In a topic, each score has the
alert's number as its key: none is missing, and a reader who keeps one message per key has each alert once. Packets that
cannot be read are kept in `unreadable`. Columns that need all objects together are computed for each micro-batch. The
tests use librdkafka's mock broker; `ASTRO_LIGHTNING_KAFKA=HOST:PORT` runs them against a real one.

## Training

`trainer=ddp` (one copy of the network per device) and `trainer=fsdp` (the network itself shared out over the devices)
start one process (*rank*) per device themselves; torchrun and srun work too:

```sh
# needs several devices
python -m astro_lightning task=plasticc trainer=fsdp trainer.devices=4
python -m torch.distributed.run --nproc-per-node 2 --standalone -m astro_lightning task=plasticc trainer=fsdp \\
    trainer.accelerator=cpu trainer.devices=2
```

A checkpoint is one file whatever the number of ranks, and loads on one device. On SLURM, sweeps through submitit ask
for one task per device. If SLURM started another number of tasks than `trainer.num_nodes` times `trainer.devices`, the
run stops at once.

```sh
# needs a cluster
python -m astro_lightning -m hydra/launcher=submitit_slurm hydra.launcher.nodes=2 hydra.launcher.tasks_per_node=4 \\
    trainer=slurm seed=0,1
```

`trainer=gpu` trains in mixed bfloat16 on one GPU. `trainer.compile=true` compiles the networks with `torch.compile`:
the first steps take minutes, later ones less time than without. Checkpoints are the same; on a processor it needs a C++
compiler. What it gains depends on network and device, so measure yours:

```sh
# needs a GPU
python -m benchmarks.gpu
```

## Without PyTorch

`mode=export out=network.onnx` writes a network that ONNX Runtime runs without PyTorch, for any number of objects at
once. It works for the networks of `plasticc`, `spectra`, `rb_c1000` and `rb_rnn`, and is checked on real input at three
batch sizes to 1e-5. It holds one network (the first, if the run has several) without the run's calibration; warnings
say so. Boosted trees (XGBoost's own JSON is their portable form) and `scope` (its periods are searched outside the
network) cannot be exported.

## Measured

{machine}, {made}, by `{command}`. {note} GPUs: not measured.

{measured}
Processor seconds grow in proportion to the number of objects. From the smallest and the largest file of each kind:

{linear}
{efficiency}

## Computed from it

Computed, not measured: the rates above times the number of objects of a survey, on cores like this machine's, without
start-up, transfer and decoding of AVRO packets; a core hour at EUR {cost}.

{computed}"""


if __name__ == "__main__":
    from benchmarks.table import RESULTS

    write_page(RESULTS / "scale.json")
