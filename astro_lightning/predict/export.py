"""The network of a checkpoint as a file for programs without this framework: ONNX or torch.export."""

import os
import uuid
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from astro_lightning.data.errors import BadInput
from astro_lightning.predict.score import Scorer

TOLERANCE = 1e-4


class Probabilities(nn.Module):
    """Named tensors of a batch in, probabilities (batch, n_classes) out."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.module, self.names = module, names

    def forward(self, *tensors: Tensor) -> Tensor:
        """Probabilities of the batch."""
        columns = self.module.columns(dict(zip(self.names, tensors, strict=True)))
        return torch.stack([value for name, value in columns.items() if name.startswith("prob_")], dim=-1)


def export_network(scorer: Scorer, batch: dict[str, Tensor], out: Path) -> float:
    """Write the first member's network and compare the file's answers with the network's on a real batch.

    Args:
        scorer: Holds the checkpoint.
        batch: A real batch, as its data set makes it.
        out: `*.onnx` (needs the extra `export`) or `*.pt2`.

    Returns:
        The largest absolute difference of a probability.

    Raises:
        BadInput: Another suffix, a network without tensors as input, or a difference above 1e-4 (no file is left then).
    """
    module = scorer.members[0].module.cpu().eval()
    names = [name for name, value in batch.items() if isinstance(value, Tensor) and name not in ("row", "target")]
    tensors = tuple(batch[name] for name in names)
    wrapped = Probabilities(module, names)
    with torch.inference_mode():
        expected = wrapped(*tensors).numpy()
    # Number of objects and length of their sequences stay free; sizes that the network fixes are found by the exporter.
    shapes = tuple(dict.fromkeys(range(tensor.ndim), torch.export.Dim.AUTO) for tensor in tensors)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{uuid.uuid4().hex[:8]}{out.suffix}")
    try:
        if out.suffix == ".pt2":
            torch.export.save(torch.export.export(wrapped, tensors, dynamic_shapes=(shapes,)), temporary)
            found = torch.export.load(temporary).module()(*tensors).detach().numpy()
        elif out.suffix == ".onnx":
            found = _onnx(wrapped, tensors, names, shapes, temporary)
        else:
            raise BadInput(f"out={out} must end in .onnx or .pt2")
        difference = float(np.abs(found - expected).max())
        if not difference <= TOLERANCE:
            raise BadInput(
                f"the exported network differs by {difference:.2g} from the original on real input: not written"
            )
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def _onnx(wrapped: nn.Module, tensors: tuple[Tensor, ...], names: list[str], shapes: tuple, path: Path) -> np.ndarray:
    try:
        import onnxruntime
    except ImportError as error:
        raise BadInput("ONNX export needs further packages: pip install 'astro-lightning[export]'") from error
    torch.onnx.export(
        wrapped, tensors, str(path), input_names=names, output_names=["probabilities"], dynamic_shapes=(shapes,),
        dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
    known = {node.name for node in session.get_inputs()}
    return session.run(None, {name: value for name, value in given.items() if name in known})[0]
