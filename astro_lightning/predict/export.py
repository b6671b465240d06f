"""The network of a checkpoint as a file for programs without this framework: ONNX or torch.export."""

import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput
from astro_lightning.predict.score import Scorer

TOLERANCE = 1e-5
Ask = Callable[[tuple[Tensor, ...]], np.ndarray]


class Asked(dict[str, Tensor]):
    """A batch that remembers what a network asks for: the rest of it is no input of the exported file."""

    def __init__(self, batch: dict[str, Tensor]) -> None:
        super().__init__(batch)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self.names.add(name)
        return super().__getitem__(name)


class Probabilities(nn.Module):
    """Named tensors of a batch in, probabilities (batch, n_classes) out."""

    def __init__(self, module: TaskModule, names: list[str]) -> None:
        super().__init__()
        self.module, self.names = module, names

    def forward(self, *tensors: Tensor) -> Tensor:
        """Probabilities of the batch."""
        columns = self.module.columns(dict(zip(self.names, tensors, strict=True)))
        return torch.stack([value for name, value in columns.items() if name.startswith("prob_")], dim=-1)


def export_network(scorer: Scorer, batches: Sequence[dict[str, Tensor]], out: Path) -> float:
    """Write the first member's network and compare the file's answers with the network's on real batches.

    Args:
        scorer: Holds the checkpoint.
        batches: Real batches of several sizes, as its data set makes them; the first holds two objects or more.
        out: `*.onnx` (needs the extra `export`), or `*.pt2`, whose extra file `inputs` names its tensors in order.

    Returns:
        The largest absolute difference of a probability.

    Raises:
        BadInput: Another suffix, a model that is no network of tensors or that names no class, or a file that differs by more
            than 1e-5 at one of the sizes (none is left then).
    """
    module = scorer.members[0].module.cpu().eval()
    if out.suffix not in (".onnx", ".pt2"):
        raise BadInput(f"out={out} must end in .onnx or .pt2")
    if any(name.endswith("_extra_state") for name in module.state_dict()):
        raise BadInput(
            f"{type(module).__name__} holds boosted trees, which {out.suffix} cannot: score with `astro-lightning score`, "
            "or export a run whose first model is a network"
        )
    asked = Asked(batches[0])
    with torch.inference_mode():
        columns = module.columns(asked)
    if not any(name.startswith("prob_") for name in columns):
        raise BadInput(
            f"{type(module).__name__} gives no probability of a class, which is what {out.suffix} holds: score with mode=predict"
        )
    names = [name for name, value in batches[0].items() if isinstance(value, Tensor) and name in asked.names]
    given = [tuple(batch[name] for name in names) for batch in batches]
    wrapped = Probabilities(module, names).eval()
    with torch.inference_mode():
        expected = [wrapped(*tensors).numpy() for tensors in given]
    # Number of objects and length of their sequences stay free; sizes that the network fixes are found by the exporter.
    shapes = tuple(dict.fromkeys(range(tensor.ndim), torch.export.Dim.AUTO) for tensor in given[0])
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{uuid.uuid4().hex[:8]}{out.suffix}")
    try:
        ask = (_onnx if out.suffix == ".onnx" else _pt2)(wrapped, given[0], names, shapes, temporary)
        difference = max(_difference(ask, tensors, wanted) for tensors, wanted in zip(given, expected, strict=True))
        if not difference <= TOLERANCE:
            raise BadInput(
                f"the exported network differs by {difference:.2g} from the original on real input: not written"
            )
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def _difference(ask: Ask, tensors: tuple[Tensor, ...], wanted: np.ndarray) -> float:
    try:
        return float(np.abs(ask(tensors) - wanted).max())
    except Exception as error:  # each runtime has its own
        raise BadInput(
            f"the exported network does not take a batch of {len(wanted)} ({str(error).splitlines()[0]}): not written"
        ) from error


def _pt2(wrapped: nn.Module, tensors: tuple[Tensor, ...], names: list[str], shapes: tuple, path: Path) -> Ask:
    program = torch.export.export(wrapped, tensors, dynamic_shapes=(shapes,))
    torch.export.save(program, path, extra_files={"inputs": ",".join(names)})
    loaded = torch.export.load(path).module()
    return lambda batch: loaded(*batch).detach().numpy()


def _onnx(wrapped: nn.Module, tensors: tuple[Tensor, ...], names: list[str], shapes: tuple, path: Path) -> Ask:
    try:
        import onnxruntime
    except ImportError as error:
        raise BadInput("ONNX export needs further packages: pip install 'astro-lightning[export]'") from error
    torch.onnx.export(
        wrapped, tensors, str(path), input_names=names, output_names=["probabilities"], dynamic_shapes=(shapes,),
        dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    known = {node.name for node in session.get_inputs()}

    def ask(batch: tuple[Tensor, ...]) -> np.ndarray:
        given = {name: tensor.numpy() for name, tensor in zip(names, batch, strict=True) if name in known}
        return session.run(None, given)[0]

    return ask
