"""Networks from a sequence of frame embeddings to classes; all take batches without padding and share one interface.

A batch holds `frames` (total_frames, n_inputs), the objects' frames one after another in time order, `offsets` (batch + 1,),
and, where object features are used, `features` (batch, n_features).
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, pad_sequence

from astro_lightning.core.loader import Batch


class SequenceHead(nn.Module):
    """Encodes the frames of each object to one vector, joins its features and classifies.

    Args:
        n_inputs: Numbers per frame.
        n_features: Object features, 0 for none.
        n_classes: Width of the output.
        width: Of the encoding.
        dropout: Before the classifier.
    """

    def __init__(self, n_inputs: int, n_features: int, n_classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.n_features = n_features
        self.features = nn.Sequential(nn.Linear(n_features, 64), nn.GELU(), nn.Dropout(dropout)) if n_features else None
        self.classify = self.classifier(width + (64 if n_features else 0), n_classes, dropout)

    def classifier(self, width: int, n_classes: int, dropout: float) -> nn.Module:
        """From the joined vector to logits."""
        hidden = [nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, 64), nn.GELU()]
        return nn.Sequential(*hidden, nn.Dropout(dropout), nn.Linear(64, n_classes))

    def encode(self, frames: Tensor, offsets: Tensor) -> Tensor:
        """(total_frames, n_inputs) -> (batch, width)."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> Tensor:
        """Logits (batch, n_classes)."""
        encoding = self.encode(batch["frames"], batch["offsets"])
        if self.features is not None:
            encoding = torch.cat([encoding, self.features(batch["features"])], 1)
        return self.classify(encoding)


class Recurrent(SequenceHead):
    """GRU or LSTM over packed sequences: a step's cost follows the true lengths. The published heads are of this kind.

    Args:
        cell: `gru` or `lstm`.
        hidden: Units of a direction.
        bidirectional: Read both ways.
        max_frames: Read at most so many frames, taken evenly in time; None reads all, as published.
        n_inputs: Numbers per frame.
        n_features: Object features.
        n_classes: Width of the output.
        dropout: Before the classifier.
    """

    def __init__(
        self,
        n_inputs: int,
        n_classes: int,
        n_features: int = 0,
        cell: str = "gru",
        hidden: int = 128,
        bidirectional: bool = False,
        max_frames: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(n_inputs, n_features, n_classes, hidden * (2 if bidirectional else 1), dropout)
        self.max_frames = max_frames
        kind = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.recurrent = kind(n_inputs, hidden, bidirectional=bidirectional)

    def classifier(self, width: int, n_classes: int, dropout: float) -> nn.Module:
        """One linear layer, as published."""
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(width, n_classes))

    def encode(self, frames: Tensor, offsets: Tensor) -> Tensor:
        """The last hidden state of each direction."""
        if self.max_frames:
            frames, offsets, _ = _thinned(frames, offsets, self.max_frames)
        packed = pack_sequence(_sequences(frames, offsets), enforce_sorted=False)
        _, state = self.recurrent(packed)
        hidden = state[0] if isinstance(state, tuple) else state
        return hidden.transpose(0, 1).flatten(1)


class AttentionPooling(SequenceHead):
    """Multiple-instance learning (Ilse et al. 2018, arXiv:1802.04712): every frame votes, attention weighs the votes.

    No padding at all: sums run over segments of the flat frames. The mean and the spread of the encoded frames are joined.

    Args:
        n_inputs: Numbers per frame.
        n_features: Object features.
        n_classes: Width of the output.
        hidden: Units of the frame encoder.
        heads: Number of attention distributions.
        dropout: Before the classifier.
    """

    def __init__(
        self, n_inputs: int, n_classes: int, n_features: int = 0, hidden: int = 64, heads: int = 8, dropout: float = 0.3
    ) -> None:
        super().__init__(n_inputs, n_features, n_classes, (heads + 2) * hidden, dropout)
        self.frame = nn.Sequential(nn.Linear(n_inputs, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.score = nn.Linear(hidden, heads)

    def attention(self, frames: Tensor, offsets: Tensor) -> Tensor:
        """Weight of each frame in its object and head, (total_frames, heads); each object's sum to 1."""
        return _segment_softmax(self.score(self.frame(frames)), offsets)

    def encode(self, frames: Tensor, offsets: Tensor) -> Tensor:
        """Attention-weighted means of the encoded frames, with their plain mean and standard deviation."""
        encoded = self.frame(frames)
        weights = _segment_softmax(self.score(encoded), offsets)
        pooled = _segment_sum(weights[:, :, None] * encoded[:, None, :], offsets).flatten(1)
        count = offsets.diff()[:, None].to(encoded.dtype)
        mean = _segment_sum(encoded, offsets) / count
        variance = _segment_sum((encoded - mean[_owners(offsets, encoded.shape[0])]) ** 2, offsets) / count
        return torch.cat([pooled, mean, (variance + 1e-5).sqrt()], 1)


class TemporalConvolution(SequenceHead):
    """Dilated convolutions over time with residuals, then mean and maximum over the true frames.

    Args:
        n_inputs: Numbers per frame.
        n_features: Object features.
        n_classes: Width of the output.
        hidden: Channels.
        layers: Dilations 1, 2, 4, ...
        dropout: Before the classifier.
    """

    def __init__(
        self,
        n_inputs: int,
        n_classes: int,
        n_features: int = 0,
        hidden: int = 64,
        layers: int = 4,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(n_inputs, n_features, n_classes, 2 * hidden, dropout)
        self.enter = nn.Linear(n_inputs, hidden)
        self.layers = nn.ModuleList(nn.Conv1d(hidden, hidden, 3, padding=2**i, dilation=2**i) for i in range(layers))

    def encode(self, frames: Tensor, offsets: Tensor) -> Tensor:
        """Mean and maximum over time."""
        x, mask = _padded(self.enter(frames), offsets)
        x, inside = x.transpose(1, 2), mask[:, None, :]
        for layer in self.layers:
            x = (x + nn.functional.gelu(layer(x))) * inside
        mean = x.sum(2) / offsets.diff()[:, None]
        return torch.cat([mean, x.masked_fill(~inside, float("-inf")).amax(2)], 1)


class SequenceTransformer(SequenceHead):
    """Self-attention over at most `max_frames` frames taken evenly in time, then the mean.

    Args:
        n_inputs: Numbers per frame.
        n_features: Object features.
        n_classes: Width of the output.
        hidden: Width of a token.
        layers: Encoder layers.
        heads: Attention heads.
        max_frames: Bound on the quadratic cost.
        dropout: In the encoder and before the classifier.
    """

    def __init__(
        self,
        n_inputs: int,
        n_classes: int,
        n_features: int = 0,
        hidden: int = 64,
        layers: int = 2,
        heads: int = 4,
        max_frames: int = 256,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(n_inputs, n_features, n_classes, hidden, dropout)
        self.max_frames = max_frames
        self.enter = nn.Linear(n_inputs + 1, hidden)
        layer = nn.TransformerEncoderLayer(
            hidden, heads, 2 * hidden, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def encode(self, frames: Tensor, offsets: Tensor) -> Tensor:
        """Mean of the encoded tokens."""
        frames, offsets, phase = _thinned(frames, offsets, self.max_frames)
        x, mask = _padded(self.enter(torch.cat([frames, phase[:, None]], 1)), offsets)
        x = self.encoder(x, src_key_padding_mask=~mask)
        return (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


class FeaturesOnly(SequenceHead):
    """A perceptron on the object features alone (pooled statistics, light-curve features).

    Args:
        n_features: Object features.
        n_classes: Width of the output.
        dropout: Between the layers.
    """

    def __init__(self, n_features: int, n_classes: int, n_inputs: int = 0, dropout: float = 0.3) -> None:
        super().__init__(n_inputs, n_features, n_classes, 0, dropout)

    def encode(self, frames: Tensor, offsets: Tensor) -> Tensor:
        """Nothing."""
        return frames.new_empty(len(offsets) - 1, 0)


HEADS: dict[str, type[SequenceHead]] = {
    "recurrent": Recurrent,
    "attention": AttentionPooling,
    "tcn": TemporalConvolution,
    "transformer": SequenceTransformer,
    "features": FeaturesOnly,
}


def _sequences(frames: Tensor, offsets: Tensor) -> list[Tensor]:
    return list(frames.split(offsets.diff().tolist()))


def _padded(frames: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    x = pad_sequence(_sequences(frames, offsets), batch_first=True)
    return x, torch.arange(x.shape[1], device=x.device) < offsets.diff()[:, None]


def _owners(offsets: Tensor, n: int) -> Tensor:
    if torch.compiler.is_exporting():  # sizes by len() or from values would fix the batch in the exported file
        return (torch.arange(n, device=offsets.device)[:, None] >= offsets[1:]).sum(1)
    every = torch.arange(offsets.shape[0] - 1, device=offsets.device)
    return every.repeat_interleave(offsets.diff(), output_size=n)  # with the size no device is waited for


def _members(offsets: Tensor, n: int) -> Tensor:
    """(n_objects, n) bool: which frames are an object's. For exported files: there, additions by index race between threads."""
    place = torch.arange(n, device=offsets.device)
    return (place >= offsets[:-1, None]) & (place < offsets[1:, None])


def _segment_sum(values: Tensor, offsets: Tensor) -> Tensor:
    if torch.compiler.is_exporting():
        flat = _members(offsets, values.shape[0]).to(values.dtype) @ values.flatten(1)
        return flat.unflatten(1, values.shape[1:])
    out = values.new_zeros(offsets.shape[0] - 1, *values.shape[1:])
    return out.index_add(0, _owners(offsets, values.shape[0]), values)


def _segment_max(values: Tensor, offsets: Tensor) -> Tensor:
    if torch.compiler.is_exporting():
        return torch.where(_members(offsets, values.shape[0])[:, :, None], values, float("-inf")).amax(1)
    owner = _owners(offsets, values.shape[0])
    top = values.new_full((offsets.shape[0] - 1, values.shape[1]), float("-inf"))
    return top.scatter_reduce(0, owner[:, None].expand_as(values), values, "amax")


def _segment_softmax(scores: Tensor, offsets: Tensor) -> Tensor:
    owner = _owners(offsets, scores.shape[0])
    weights = (scores - _segment_max(scores.detach(), offsets)[owner]).exp()
    return weights / _segment_sum(weights, offsets)[owner]


def _thinned(frames: Tensor, offsets: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """At most `limit` frames of each object, evenly in time, with their place between 0 and 1."""
    lengths = offsets.diff()
    kept = lengths.clamp(max=limit)
    new = torch.cat([offsets.new_zeros(1), kept.cumsum(0)])
    owner = _owners(new, int(new[-1]))
    position = torch.arange(int(new[-1]), device=frames.device) - new[owner]
    phase = position / (kept[owner] - 1).clamp(min=1)
    index = offsets[owner] + (phase * (lengths[owner] - 1)).round().long()
    return frames[index], new, phase.to(frames.dtype)
