"""Where the scores of a stream go: files that say which messages they hold, or a topic."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from astro_lightning.data.errors import BadInput
from astro_lightning.data.tables import write_parquet

ADDRESS = re.compile(r"kafka://(?P<servers>[^/]+)/(?P<topic>[\w.-]+)$")
FILE = "{topic}-{partition:04d}-{first:012d}-{last:012d}.parquet"
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Topic:
    """Address of a topic, `kafka://HOST:PORT[,HOST:PORT]/TOPIC`."""

    servers: str
    name: str

    @classmethod
    def parse(cls, address: str) -> "Topic":
        """From its text.

        Raises:
            BadInput: It has another form.
        """
        found = ADDRESS.match(address)
        if found is None:
            raise BadInput(f"{address}: give kafka://HOST:PORT/TOPIC")
        return cls(found["servers"], found["topic"])


class FolderSink:
    """Parquet files whose names say which messages they hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def places(self, consumer: Any, assigned: list[Any]) -> list[Any]:
        """Where to begin: behind the last message that a file holds, if that was not committed."""
        committed = {(place.topic, place.partition): place.offset for place in consumer.committed(assigned)}
        for place in assigned:
            pattern = re.compile(rf"{re.escape(place.topic)}-{place.partition:04d}-\d+-(\d+)\.parquet")
            held = [int(found[1]) + 1 for file in self.folder.iterdir() if (found := pattern.fullmatch(file.name))]
            if held:
                place.offset = max(*held, committed[place.topic, place.partition])
        return assigned

    def write(self, table: pa.Table | None, messages: list[Any]) -> None:
        """The scores of these messages, if there are any, in one file."""
        first, last = messages[0], messages[-1]
        name = FILE.format(topic=first.topic(), partition=first.partition(), first=first.offset(), last=last.offset())
        if table is not None:
            write_parquet([table], self.folder / name)

    def keep(self, message: Any) -> None:
        """A packet that cannot be read, in the folder `unreadable`."""
        folder = self.folder / UNREADABLE
        folder.mkdir(exist_ok=True)
        (folder / f"{message.topic()}-{message.partition():04d}-{message.offset():012d}.avro").write_bytes(
            message.value() or b""
        )

    def flush(self) -> None:
        """Files are safe when they have their name."""


class TopicSink:
    """JSON messages under the alert's number as key."""

    def __init__(self, kafka: Any, topic: Topic, settings: Mapping[str, str]) -> None:
        self.topic = topic
        self.errors: list[str] = []
        sure = {"enable.idempotence": True, "acks": "all"}
        consumers = ("session.timeout.ms", "max.poll.interval.ms", "fetch.")
        own = {key: value for key, value in settings.items() if not key.startswith(consumers)}
        self.producer = kafka.Producer({"bootstrap.servers": topic.servers, **own, **sure})
        reach(kafka, self.producer, topic)

    def places(self, consumer: Any, assigned: list[Any]) -> list[Any]:
        """Where to begin: where the group had committed."""
        return assigned

    def write(self, table: pa.Table | None, messages: list[Any]) -> None:
        """One message for each row; numbers that are not finite are null."""
        for row in table.to_pylist() if table is not None else ():
            known = {
                key: None if isinstance(value, float) and not math.isfinite(value) else value
                for key, value in row.items()
            }
            self._produce(self.topic.name, str(row["id"]).encode(), json.dumps(known, allow_nan=False).encode())

    def keep(self, message: Any) -> None:
        """A packet that cannot be read, in the topic `<name>-unreadable`."""
        self._produce(f"{self.topic.name}-{UNREADABLE}", message.key(), message.value())

    def flush(self) -> None:
        """Wait until the brokers have all of it.

        Raises:
            BadInput: They refuse a message; nothing is committed then.
        """
        left = self.producer.flush(60)
        if left or self.errors:
            raise BadInput(
                f"{self.topic.servers} did not take {left or len(self.errors)} scores ({(self.errors or ['no answer'])[0]}): "
                "the same command goes on"
            )

    def _produce(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        while True:
            try:
                self.producer.produce(topic, value, key, on_delivery=self._delivered)
                self.producer.poll(0)
                return
            except BufferError:
                self.producer.poll(1)

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self.errors.append(str(error))


def reach(kafka: Any, client: Any, topic: Topic) -> None:
    """Whether the topic's brokers answer.

    Raises:
        BadInput: None does.
    """
    try:
        client.list_topics(timeout=15)
    except kafka.KafkaException as error:
        raise BadInput(f"no Kafka broker answers at {topic.servers}: {error.args[0].str()}") from error
