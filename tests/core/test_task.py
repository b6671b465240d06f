from concurrent.futures import ThreadPoolExecutor
from threading import Event

import torch
from torch import nn

from astro_lightning.core.task import TaskModule


class Slow(nn.Module):
    """One linear layer; the batch says what to wait for before the logits are given."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, batch):
        logits = self.layer(batch["x"])
        batch["begun"].set()
        assert batch["go_on"].wait(20)
        return logits


class Module(TaskModule):
    def make_network(self):
        return Slow()


def test_each_thread_gets_the_vectors_of_its_own_objects():
    module = Module(model={}, optimizer={}, info={"classes": ["a", "b"]})
    module.configure_model()
    go_on, free = Event(), Event()
    free.set()
    first = {"x": torch.zeros(4, 3), "begun": Event(), "go_on": go_on}
    second = {"x": torch.ones(4, 3), "begun": Event(), "go_on": free}
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(module.embed, first)
        assert first["begun"].wait(20)
        torch.testing.assert_close(module.embed(second), second["x"])
        go_on.set()
        torch.testing.assert_close(waiting.result(), first["x"])
