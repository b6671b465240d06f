"""Nights of real alert packets through Kafka: librdkafka's mock broker, or a real one named by ASTRO_LIGHTNING_KAFKA=HOST:PORT."""

import io
import json
import os
import signal
import subprocess
import time
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import clean_environment, command
from untrained import TASKS, untrained

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.alerts_avro import read_message
from astro_lightning.data.surveys.stamps import Stamps
from astro_lightning.predict import stream as streams
from astro_lightning.predict.score import Scorer
from astro_lightning.verbs.score import main

kafka = pytest.importorskip("confluent_kafka")
ALERTS = 96  # what the mock broker keeps: 5 MiB a partition
RUBIN = {
    "type": "record", "name": "alert", "fields": [
        {"name": "diaSourceId", "type": "long"},
        *({"name": f"cutout{name}", "type": "bytes"} for name in ("Science", "Template", "Difference")),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    words = [word for word in TASKS["stamps"] if "side_px" not in word]
    return untrained(tmp_path_factory.mktemp("run"), *words, "+data.simulation.side_px=63")


@pytest.fixture(scope="module")
def broker():
    """Producer and address of a broker that outlives consumers."""
    real = os.environ.get("ASTRO_LIGHTNING_KAFKA")
    producer = kafka.Producer({"bootstrap.servers": real} if real else {"test.mock.num.brokers": 1})
    servers = real or next(str(node).split("/")[0] for node in producer.list_topics().brokers.values())
    return producer, servers


@pytest.fixture(scope="module")
def night(shared_data):
    """Packets of many alerts: the real ones of ZTF under ever new numbers, each a container as ZTF sends it."""
    packets = []
    for file in sorted((shared_data / "realbogus" / "avro" / "ztf_kowalski").glob("*.avro")):
        reader = fastavro.reader(io.BytesIO(file.read_bytes()))
        packets += [(reader.writer_schema, content) for content in reader]
    found = []
    for i in range(ALERTS):
        schema, content = packets[i % len(packets)]
        content["candid"] = content["candidate"]["candid"] = 10**15 + i
        sink = io.BytesIO()
        fastavro.writer(sink, schema, [content])
        found.append(sink.getvalue())
    return found


def send(producer, topic, messages):
    for i, message in enumerate(messages):
        producer.produce(topic, message, partition=i % 2)
    assert producer.flush(30) == 0


def words_of(servers, topic, run, out, group):
    return (
        f"kafka://{servers}/{topic}", "--ckpt", str(run), "--out", str(out), "--group", group, "--micro-batch", "2",
        "--idle", "0.5", "--kafka", "session.timeout.ms=6000",
    )  # fmt: skip


def own_scores(run, night):
    """The same packets without a stream."""
    packets = [packet for message in night for packet in read_message(message, lambda number: None)]
    return Scorer(run, exact=True).predict_table(Stamps().from_packets(packets)).sort_by("id")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "topic"])
def test_a_consumer_killed_in_the_middle_loses_no_alert_and_doubles_none(run, broker, night, tmp_path, kind):
    producer, servers = broker
    topic = f"alerts-{uuid.uuid4().hex[:8]}"
    send(producer, topic, [*night, b"no packet"])
    out = tmp_path / "scores" if kind == "folder" else f"kafka://{servers}/{topic}-scores"
    words = words_of(servers, topic, run, out, topic)
    scores = f"{topic}-scores"

    def written():
        if kind == "topic":
            return sum(count.values()) if (count := ends(servers, scores)) else 0
        return sum(pq.read_metadata(file).num_rows for file in out.glob("*.parquet"))

    running = subprocess.Popen(command("score", *words, folder=tmp_path), env=clean_environment(tmp_path))
    while written() < 4:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert written() < ALERTS
    main(list(words))
    expected = own_scores(run, night)
    if kind == "folder":
        found = pa.concat_tables([pq.read_table(file) for file in sorted(out.glob("*.parquet"))]).sort_by("id")
        assert found.equals(expected.combine_chunks().cast(found.schema)) or found.to_pylist() == expected.to_pylist()
        assert [file.read_bytes() for file in (out / "unreadable").iterdir()] == [b"no packet"]
    else:
        keyed = read(servers, scores)
        assert [keyed[key] for key in sorted(keyed)] == expected.to_pylist()


def ends(servers, topic):
    """Partition -> number of messages of a topic, which may not be there yet."""
    reader = kafka.Consumer({"bootstrap.servers": servers, "group.id": uuid.uuid4().hex})
    found = reader.list_topics(timeout=15).topics.get(topic)
    partitions = [kafka.TopicPartition(topic, number) for number in (found.partitions if found else ())]
    counts = {place.partition: reader.get_watermark_offsets(place, timeout=15)[1] for place in partitions}
    reader.close()
    return counts


def read(servers, topic):
    """Messages of a topic by key."""
    reader = kafka.Consumer({"bootstrap.servers": servers, "group.id": uuid.uuid4().hex})
    left = {partition: count for partition, count in ends(servers, topic).items() if count}
    reader.assign([kafka.TopicPartition(topic, number, 0) for number in left])
    found = {}
    while left:
        for message in reader.consume(500, 0.2):
            found[message.key().decode()] = json.loads(message.value())
            if message.offset() + 1 == left[message.partition()]:
                del left[message.partition()]
    reader.close()
    return found


def test_scores_written_but_not_committed_are_not_made_again(run, broker, night, tmp_path, monkeypatch):
    producer, servers = broker
    topic = f"alerts-{uuid.uuid4().hex[:8]}"
    send(producer, topic, night[:24])
    words = list(words_of(servers, topic, run, tmp_path / "scores", topic))

    class Killed(BaseException):
        pass

    def commit(*arguments):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(streams, "_commit", commit)
        with pytest.raises(Killed):
            main(words)
    assert list((tmp_path / "scores").glob("*.parquet"))
    main(words)
    found = pa.concat_tables([pq.read_table(file) for file in (tmp_path / "scores").glob("*.parquet")])
    assert sorted(found["id"].to_pylist()) == [10**15 + i for i in range(24)]


def rubins(night, number=705):
    """A packet in Confluent's form."""
    content = next(fastavro.reader(io.BytesIO(night[0])))
    names = ("Science", "Template", "Difference")
    body = io.BytesIO()
    record = {"diaSourceId": 5, **{f"cutout{name}": content[f"cutout{name}"]["stampData"] for name in names}}
    fastavro.schemaless_writer(body, fastavro.parse_schema(RUBIN), record)
    return b"\x00" + number.to_bytes(4, "big") + body.getvalue()


@pytest.fixture
def registry():
    """Address of a registry that knows schema 705 and has broken down at 500."""

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self):
            codes = {"/schemas/ids/705": 200, "/schemas/ids/500": 500}
            self.send_response(codes.get(self.path, 404))
            self.end_headers()
            self.wfile.write(json.dumps({"schema": json.dumps(RUBIN)}).encode())

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Registry)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_rubins_packets_take_their_schema_from_a_file_or_a_registry(night, registry, tmp_path):
    file = tmp_path / "rubin.avsc"
    file.write_text(json.dumps(RUBIN))
    for source in (registry, str(file)):
        (packet,) = read_message(rubins(night), streams.schemas(source))
        assert packet.id == 5 and packet.cutouts[0].shape == (63, 63)
    for source, number in ((None, 705), (registry, 500), (str(tmp_path), 705)):
        with pytest.raises(streams.NoSchemas, match="--schemas") as caught:
            read_message(rubins(night, number), streams.schemas(source))
        assert "\n" not in str(caught.value)


def committed(servers, topic):
    """Offsets behind which a group of the topic's name goes on; none where it committed nothing."""
    reader = kafka.Consumer({"bootstrap.servers": servers, "group.id": topic})
    places = reader.committed([kafka.TopicPartition(topic, number) for number in range(2)], timeout=15)
    reader.close()
    return [place.offset for place in places if place.offset >= 0]


@pytest.mark.parametrize("schemas", [[], ["--schemas", "http://127.0.0.1:1/"]])
def test_without_schemas_no_packet_is_kept_as_unreadable_or_passed_over(run, broker, night, tmp_path, schemas):
    producer, servers = broker
    topic = f"alerts-{uuid.uuid4().hex[:8]}"
    send(producer, topic, [rubins(night), rubins(night)])
    with pytest.raises(streams.NoSchemas, match="--schemas"):
        main([*words_of(servers, topic, run, tmp_path / "scores", topic), *schemas])
    assert not list((tmp_path / "scores").rglob("*")) and not committed(servers, topic)


def test_a_packet_of_a_schema_that_the_registry_does_not_know_is_kept_and_the_others_scored(
    run, broker, night, registry, tmp_path
):
    producer, servers = broker
    topic = f"alerts-{uuid.uuid4().hex[:8]}"
    strange = rubins(night, number=404)
    send(producer, topic, [strange, rubins(night)])
    main([*words_of(servers, topic, run, tmp_path / "scores", topic), "--schemas", registry])
    assert [file.read_bytes() for file in (tmp_path / "scores" / "unreadable").iterdir()] == [strange]
    (scored,) = (tmp_path / "scores").glob("*.parquet")
    assert pq.read_table(scored)["id"].to_pylist() == [5]
    assert committed(servers, topic) == [1, 1]


def test_what_cannot_be_is_one_line(run, tmp_path):
    for words, said in (
        (["kafka://nowhere"], "HOST:PORT/TOPIC"),
        (["kafka://127.0.0.1:1/alerts", "--kafka", "a"], "key=value"),
    ):
        with pytest.raises(BadInput, match=said):
            main([*words, "--ckpt", str(run), "--out", str(tmp_path / "o")])
