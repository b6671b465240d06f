import json
from types import SimpleNamespace

import pyarrow as pa

from astro_lightning.predict.sinks import Topic, TopicSink


class Producer:
    """Keeps what it is given."""

    def __init__(self, settings):
        self.sent = []

    def list_topics(self, timeout):
        """A broker answers."""

    def poll(self, seconds):
        """Nothing waits."""

    def produce(self, topic, value, key, on_delivery):
        self.sent.append((topic, key, json.loads(value, parse_constant=lambda word: f"{word} is no JSON")))


def test_scores_that_are_not_finite_are_null_in_a_topic():
    kafka = SimpleNamespace(Producer=Producer, KafkaException=RuntimeError)
    sink = TopicSink(kafka, Topic.parse("kafka://host:9092/scores"), {})
    sink.write(pa.table({"id": [7], "prob_real": [0.5], "threshold": [float("nan")]}), [])
    assert sink.producer.sent == [("scores", b"7", {"id": 7, "prob_real": 0.5, "threshold": None})]
