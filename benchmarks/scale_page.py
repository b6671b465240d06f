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


TEXT = """# Past one machine

One function, `Scorer.predict_table(table) -> table`, scores; the fronts around it are thin and use engines that are
there already. A score follows its object alone, to the last bit, so that a file, a catalogue and a stream of the same
objects agree. What speaks of a whole file (`ood_flag`, class proportions, `prob_99`, for which PLAsTiCC's other classes make room)
follows the file.

## Files

```sh
astro-lightning score LIGHT_CURVES.parquet --ckpt RUN --out scores.parquet --workers 2
```

The input is read in chunks of at most `--memory-gib`; every 512 objects become a part, a file beside the output. A
killed command, given again, goes on behind the last part; another input or checkpoint begins anew. Columns that need
all objects together (flags at a false-discovery rate, class proportions of a survey) are made at the end: over all
objects if their scores fit into `--memory-gib`, else over consecutive blocks of that size, which a warning tells.
`--batch N` scores N objects at a time: faster for short curves and on a GPU, but the last bits of a score then follow
its company.

## Catalogues

```sh
# needs LSDB (pip install 'astro-lightning[catalogue]') and a finished run
astro-lightning score CATALOGUE --data catalina --ckpt RUN --out SCORES --workers 2
```

A [HATS](https://hats.readthedocs.io) catalogue goes through LSDB and Dask, `--workers N` on a local cluster or
`--scheduler ADDRESS` on one that is there. Light curves are nested columns; the survey's own reader (`--data`) reads
each partition, so its column names are those of the survey's files. The output has the same partitions: position,
`id`, and the columns of the task. Scored partitions outlive a kill.

## Streams

```sh
# needs a broker, a finished run and pip install 'astro-lightning[stream]'
astro-lightning score kafka://HOST:9092/alerts --ckpt RUN --out FOLDER --group mine
astro-lightning score kafka://HOST:9092/alerts --ckpt RUN --out kafka://HOST:9092/scores --schemas https://REGISTRY
```

ZTF's packets carry their schema; Rubin's need an `.avsc` file or the address of a schema registry. Up to
`--micro-batch` alerts are scored together, written, and only then committed. A folder's file names say which messages
they hold: after `kill -9` nothing is missing and no alert is there twice. In a topic every score has the alert's
number as its key: nothing is missing, and a reader who keeps one message a key has each alert once. Packets that
cannot be read are kept in `unreadable`. Columns that need all objects together are made over each micro-batch. The
tests use librdkafka's mock broker, not a JVM; `ASTRO_LIGHTNING_KAFKA=HOST:PORT` runs them against a real one.

## Training

`trainer=ddp` and `trainer=fsdp` (parameters, gradients and optimiser state sharded) start their own ranks; torchrun
and srun work too:

```sh
# needs several devices
python -m astro_lightning task=plasticc trainer=fsdp trainer.devices=4
python -m torch.distributed.run --nproc-per-node 2 --standalone -m astro_lightning task=plasticc trainer=fsdp \\
    trainer.accelerator=cpu trainer.devices=2
```

A checkpoint of any number of ranks is one file and loads on one. On SLURM, sweeps through submitit ask for one task a
device; what SLURM started is compared with `trainer.num_nodes` times `trainer.devices` before anything is built.

```sh
# needs a cluster
python -m astro_lightning -m hydra/launcher=submitit_slurm hydra.launcher.nodes=2 hydra.launcher.tasks_per_node=4 \\
    trainer=slurm seed=0,1
```

`trainer=gpu` trains in mixed bfloat16 on one GPU. `trainer.compile=true` puts the networks through `torch.compile`: the first
steps take minutes while the shapes of the batches are met, later ones less time; checkpoints are the same with and without, and
on a processor it needs a C++ compiler. What it gains depends on network and device, so measure yours:

```sh
# needs a GPU
python -m benchmarks.gpu
```

## Without PyTorch

`mode=export out=network.onnx` writes a network that ONNX Runtime scores in a plain Python process, any number of
objects at once, checked on real input at three batch sizes to 1e-5: the networks of `plasticc`, `spectra`, `rb_c1000`
and `rb_rnn`. It is one network, the first of several, without the run's calibration, of which warnings tell. Boosted
trees (XGBoost's own JSON is the portable form) and `scope` (its periods are searched outside the network) are refused
in one line.

## Measured

{machine}, {made}, by `{command}`. {note} GPUs: not measured.

{measured}
Processor seconds grow in proportion to the objects; between the smallest and the largest file of each kind:

{linear}
{efficiency}

## Computed from it

Not measured: the rates above times the objects of a survey, on cores like this machine's, start-up,
transfer and the decoding of AVRO packets left out; a core hour at EUR {cost}.

{computed}"""


if __name__ == "__main__":
    from benchmarks.table import RESULTS

    write_page(RESULTS / "scale.json")
