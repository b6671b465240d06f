"""Nights of alerts: packets of a Kafka topic are scored in small batches; nothing is committed before its scores are safe."""

import json
import logging
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import fastavro
from fastavro.schema import load_schema

from astro_lightning.core.build import reader_of
from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.alerts_avro import Packet, read_message
from astro_lightning.data.surveys.stamps import Stamps
from astro_lightning.predict.files import reader_block
from astro_lightning.predict.score import Scorer
from astro_lightning.predict.sinks import ADDRESS, FolderSink, Topic, TopicSink, reach

log = logging.getLogger(__name__)


@dataclass
class Stream:
    """How a topic is read.

    Attributes:
        source: Where alerts come from.
        group: Consumers of one group share its partitions, and its place in them.
        micro_batch: Messages scored together, at most.
        wait_s: Seconds that a batch may wait to fill.
        idle_s: End after so many seconds without a message, once the end of each partition was reached; None = never.
        schemas: `.avsc` file, or address of a schema registry, for packets in Confluent's form (Rubin); None = not needed.
        settings: Further settings of librdkafka (security, timeouts).
    """

    source: Topic
    group: str = "astro-lightning"
    micro_batch: int = 256
    wait_s: float = 1.0
    idle_s: float | None = None
    schemas: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def predict_stream(scorer: Scorer, data: Mapping[str, Any], stream: Stream, out: str) -> int:
    """Score a topic until it is idle or the process is stopped.

    A killed process, started again, goes on: scores are written first, the place in the topic is committed after. In a folder
    the names of the files say which messages they hold, so that none is scored twice; in a topic messages carry `id`, the
    alert's own number, as their key, so that a reader who keeps one message a key has each alert once. Packets that cannot
    be read are kept, in the folder `unreadable` or the topic `<out>-unreadable`. Columns that need all objects together
    (`Scorer.finish`) are made over each batch.

    Args:
        scorer: Trained on stamps.
        data: The survey whose reader crops the stamps.
        stream: What is read.
        out: Folder of Parquet files, or `kafka://HOST:PORT/TOPIC` for JSON messages.

    Returns:
        Number of alerts scored.

    Raises:
        BadInput: The checkpoint takes no stamps, a broker or the schemas cannot be reached, or confluent-kafka is not installed.
    """
    try:
        import confluent_kafka as kafka
    except ImportError as error:
        raise BadInput("streams need further packages: pip install 'astro-lightning[stream]'") from error
    survey = reader_of(reader_block(dict(data), scorer), data["memory_gib"])
    if not isinstance(survey, Stamps):
        raise BadInput(f"a topic of alerts holds stamps, {scorer.path} was trained on data of {type(survey).__name__}")
    sink: FolderSink | TopicSink
    sink = (
        TopicSink(kafka, Topic.parse(out), stream.settings)
        if ADDRESS.match(out)
        else FolderSink(Path(out).expanduser())
    )
    settings = {
        "bootstrap.servers": stream.source.servers,
        "group.id": stream.group,
        "auto.offset.reset": "earliest",
        **stream.settings,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }
    consumer = kafka.Consumer(settings)
    reach(kafka, consumer, stream.source)
    ended: set[int | None] = set()  # partitions that were read to their end once

    def take(own: Any, assigned: list[Any]) -> None:
        ended.clear()
        own.assign(sink.places(own, assigned))

    consumer.subscribe([stream.source.name], on_assign=take)
    schema_of = schemas(stream.schemas)
    n, last = 0, time.monotonic()
    try:
        while stream.idle_s is None or time.monotonic() - last < stream.idle_s:
            received = consumer.consume(stream.micro_batch, stream.wait_s)
            ended |= {message.partition() for message in received if _is_end(kafka, message)}
            messages = [message for message in received if not _is_end(kafka, message) and _sound(message)]
            partitions = {message.partition() for message in messages}
            for partition in sorted(partitions):  # type: ignore[type-var]  # none only of a message to be sent
                own = [message for message in messages if message.partition() == partition]
                n += _score(scorer, survey, own, schema_of, sink)
            if messages:
                sink.flush()
                _commit(kafka, consumer)
            own_places = {place.partition for place in consumer.assignment()}
            # Joining a group, and fetching for the first time, take seconds.
            if messages or not own_places or own_places - ended:
                last = time.monotonic()
    except KeyboardInterrupt:
        log.info("stopped after %d alerts", n)
    finally:
        consumer.close()
    return n


class NoSchemas(BadInput):
    """Not one message of Confluent's form could be read: nothing is wrong with the message at hand."""


def schemas(source: str | None) -> Callable[[int], Any]:
    """Number of a schema -> schema, from an `.avsc` file that serves for all, or from a registry.

    The function raises `NoSchemas` where there is neither, and what the registry says of a number that it does not know.
    """

    @lru_cache
    def schema_of(number: int) -> Any:
        if source is None:
            raise NoSchemas(f"a Confluent message of schema {number}: give its .avsc file or a registry as --schemas")
        try:
            if not source.startswith(("http://", "https://")):
                return load_schema(source)
            with urllib.request.urlopen(f"{source.rstrip('/')}/schemas/ids/{number}", timeout=30) as answer:
                return fastavro.parse_schema(json.loads(json.loads(answer.read())["schema"]))
        except HTTPError as error:
            if error.code == 404:  # a damaged packet names any number
                raise
            raise NoSchemas(f"--schemas {source} answers {error.code} {error.reason}") from error
        except Exception as error:  # whatever it is, it is not the packet's fault
            raise NoSchemas(f"--schemas {source} gives no schema ({error}): the same command goes on") from error

    return schema_of


def _score(
    scorer: Scorer, survey: Stamps, messages: list[Any], schema_of: Callable[[int], Any], sink: FolderSink | TopicSink
) -> int:
    packets: list[Packet] = []
    for message in messages:
        try:
            packets += read_message(message.value() or b"", schema_of)
        except NoSchemas:
            raise
        except Exception as error:  # a damaged packet can make the decoder raise nearly anything
            log.warning("%s[%d] %d cannot be read: %s", message.topic(), message.partition(), message.offset(), error)
            sink.keep(message)
    # Brokers may give an alert twice.
    packets = list({packet.id: packet for packet in packets}.values())
    table = scorer.predict_table(survey.from_packets(packets)) if packets else None
    sink.write(table, messages)
    return len(packets)


def _is_end(kafka: Any, message: Any) -> bool:
    return message.error() is not None and message.error().code() == kafka.KafkaError._PARTITION_EOF


def _sound(message: Any) -> bool:
    if message.error() is None:
        return True
    log.warning("the broker says: %s", message.error())
    return False


def _commit(kafka: Any, consumer: Any) -> None:
    try:
        consumer.commit(asynchronous=False)
    except kafka.KafkaException as error:  # another consumer has taken a partition over meanwhile
        log.warning("not committed: %s", error.args[0].str())


def settings_of(words: Iterable[str]) -> dict[str, str]:
    """`key=value` words as settings of librdkafka.

    Raises:
        BadInput: A word has no `=`.
    """
    pairs = [word.partition("=") for word in words]
    for key, sign, _ in pairs:
        if not sign:
            raise BadInput(f"--kafka {key}: give key=value")
    return {key: value for key, _, value in pairs}
