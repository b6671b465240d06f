"""Score a file, a catalogue or a stream of alerts with a finished run."""

import argparse
from pathlib import Path
from typing import Any, NoReturn

from astro_lightning.core.conf import data_block
from astro_lightning.data.errors import BadInput

KAFKA = "kafka://"


class _Words(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"score: {message}; see astro-lightning score --help")


def main(words: list[str]) -> None:
    """Score a file, a HATS catalogue or a Kafka topic: astro-lightning score IN --ckpt RUN --out OUT [--help]."""
    asked = _parser().parse_args(words)
    if asked.memory_gib is not None and asked.memory_gib <= 0:
        raise BadInput(f"--memory-gib {asked.memory_gib:g}: give a number above 0")
    import torch

    from astro_lightning.core.checkpoint import scoring_folder
    from astro_lightning.core.trainer import check_accelerator
    from astro_lightning.predict.catalogue import is_catalogue, predict_catalogue
    from astro_lightning.predict.files import predict_file
    from astro_lightning.predict.score import Scorer

    check_accelerator({"accelerator": asked.device})
    torch.set_num_threads(1)  # a sum over several threads would depend on how many there are; use --workers
    scorer = Scorer(scoring_folder(Path(asked.ckpt).expanduser()), asked.device, asked.batch, exact=asked.batch is None)
    task = scorer.members[0].identity["task"]
    if asked.task not in (None, task):
        raise BadInput(f"--task {asked.task}: {asked.ckpt} is of task {task}; leave --task out, or give another --ckpt")
    data = _data(asked, scorer.info["data"]) | {"path": asked.source}
    if asked.source.startswith(KAFKA):
        from astro_lightning.predict.sinks import Topic
        from astro_lightning.predict.stream import Stream, predict_stream, settings_of

        own = {"micro_batch": asked.micro_batch, "idle_s": asked.idle, "schemas": asked.schemas}
        stream = Stream(Topic.parse(asked.source), asked.group, settings=settings_of(asked.kafka), **own)
        print(f"{predict_stream(scorer, data, stream, asked.out)} alerts scored: {asked.out}")
        return
    source, out = Path(asked.source).expanduser(), Path(asked.out).expanduser()
    data["path"] = str(source)
    if is_catalogue(source):
        n = predict_catalogue(scorer, data, out, asked.workers, asked.scheduler)
    else:
        n = predict_file(scorer, data, out, asked.workers)
    print(f"{n} objects scored: {out}")


def _data(asked: argparse.Namespace, trained: dict[str, Any]) -> dict[str, Any]:
    block = data_block(asked.data) if asked.data else trained
    return block if asked.memory_gib is None else block | {"memory_gib": asked.memory_gib}


def _parser() -> argparse.ArgumentParser:
    words = _Words(prog="astro-lightning score", description=main.__doc__, allow_abbrev=False)
    words.add_argument(
        "source", metavar="IN", help="file or folder in the layout of the training data, or HATS catalogue"
    )
    words.add_argument("--ckpt", required=True, help="run folder or .ckpt file")
    words.add_argument("--out", required=True, help="what is written: file (.parquet), catalogue, folder or topic")
    words.add_argument("--task", help="refuse a checkpoint of another task than this")
    words.add_argument("--data", help="survey whose reader reads IN; the training data's own if left out")
    words.add_argument("--workers", type=int, default=1, help="processes that score (1)")
    words.add_argument("--memory-gib", type=float, help="bound on what is read, and finished, at once")
    words.add_argument("--scheduler", help="address of a Dask cluster, for catalogues; a local one if left out")
    words.add_argument("--device", default="cpu", choices=("cpu", "cuda", "mps"), help="where the networks run (cpu)")
    words.add_argument(
        "--batch",
        type=int,
        help="objects per batch: faster for short curves, and on a GPU, but the last bits of a score then follow its company; "
        "left out, they follow the object alone",
    )
    stream = words.add_argument_group("streams")
    stream.add_argument("--group", default="astro-lightning", help="consumer group, which keeps the place in the topic")
    stream.add_argument("--micro-batch", type=int, default=256, help="alerts scored together, at most (256)")
    stream.add_argument(
        "--idle", type=float, metavar="SECONDS", help="end after so long without an alert; never if left out"
    )
    stream.add_argument("--schemas", help=".avsc file or address of a schema registry, for Rubin's packets")
    stream.add_argument(
        "--kafka", action="append", default=[], metavar="KEY=VALUE", help="further setting of librdkafka"
    )
    return words
