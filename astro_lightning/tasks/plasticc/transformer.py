"""Transformer over observations of all bands in continuous time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.plasticc.encoder import Encoder, Rotation, init_weights
from astro_lightning.tasks.plasticc.tokenizer_continuous import N_FEATURES

SHORTEST_PERIOD_DAYS, LONGEST_PERIOD_DAYS = 1.0, 4000.0


def angular_frequencies(n: int, shortest_period: float, longest_period: float) -> Tensor:
    """(n,) angular frequencies of periods spread evenly in the logarithm."""
    return 2 * math.pi / torch.logspace(math.log10(shortest_period), math.log10(longest_period), n)


class FourierFeatures(nn.Module):
    """Sines and cosines of a number at learned frequencies, mapped to the model's width."""

    def __init__(self, d_model: int, n_frequencies: int, shortest_period: float, longest_period: float) -> None:
        super().__init__()
        self.start = nn.Buffer(angular_frequencies(n_frequencies, shortest_period, longest_period))
        # learned in units of the lowest frequency: the gradient is of order one even though times are in the thousands
        self.change = nn.Parameter(torch.zeros(n_frequencies))
        self.unit = 2 * math.pi / longest_period
        self.out = nn.Linear(2 * n_frequencies, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(...) to (..., d)."""
        angle = x[..., None] * (self.start + self.change * self.unit)
        return self.out(torch.cat((angle.sin(), angle.cos()), dim=-1))


class MetadataTokens(nn.Module):
    """One token for each metadata value: linear in the value, with vectors of their own for zero and for unknown.

    Zero is special because PLAsTiCC gives Galactic objects the photo-z 0.
    """

    def __init__(self, n_metadata: int, d_model: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(4, n_metadata, d_model))
        nn.init.trunc_normal_(self.weights, std=0.02)

    def forward(self, value: Tensor, known: Tensor) -> Tensor:
        """Value and known (B, M) to tokens (B, M, d); M may be less than what there is room for."""
        column, slope, zero, unknown = self.weights[:, : value.shape[1]]
        given = column + value[..., None] * slope + (value == 0)[..., None] * zero
        return torch.where(known[..., None], given, unknown)


class AttentionPool(nn.Module):
    """Mean of the states weighted by a learned query."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.score = nn.Linear(d_model, 1, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States (B, L, d), true mask (B, L) somewhere in each row, to (B, d)."""
        score = self.score(states).squeeze(-1).masked_fill(~mask, -torch.inf)
        return torch.einsum("bl,bld->bd", score.softmax(dim=-1), states)


class PlasticcTransformer(nn.Module):
    """Pre-norm encoder with one token for each observation, one for each metadata value, and CLS.

    An observation is Linear(features) + band (or wavelength) + Fourier features of time. Where `masked` is true all
    its features are replaced by one learned vector and only time and band remain. An object is a linear map of CLS
    and the attention pool.

    Args:
        d_model: width.
        n_layers: encoder layers.
        n_heads: attention heads; must divide d_model, and into an even width with `rotary`.
        dropout: on embeddings and both residual branches.
        n_bands: bands of the survey.
        n_metadata: metadata values of an object.
        n_frequencies: learned frequencies of time.
        wavelength: describe the band by Fourier features of its effective wavelength, so that other surveys can be
            read, and not by an embedding of its index.
        rotary: turn queries and keys by continuous time as well, so that attention sees time differences (RoPE, Su
            2021, arXiv:2104.09864).
        packed_on_gpu: leave padding out on a GPU as on a processor; without effect where the network is compiled.
    """

    def __init__(
        self,
        d_model: int = 192,
        n_layers: int = 4,
        n_heads: int = 6,
        dropout: float = 0.1,
        n_bands: int = 6,
        n_metadata: int = 4,
        n_frequencies: int = 32,
        wavelength: bool = False,
        rotary: bool = True,
        packed_on_gpu: bool = False,
    ) -> None:
        super().__init__()
        head_dim, rest = divmod(d_model, n_heads)
        if rest or (rotary and head_dim % 2):
            raise BadInput(
                f"d_model {d_model} over n_heads {n_heads} is not {'even' if rotary else 'whole'}; change one of them"
            )
        self.d_model, self.rotary = d_model, rotary
        self.features = nn.Linear(N_FEATURES, d_model)
        self.time = FourierFeatures(d_model, n_frequencies, SHORTEST_PERIOD_DAYS, LONGEST_PERIOD_DAYS)
        if wavelength:  # periods in ln(wavelength): from about one optical band to four times the optical range
            self.wavelength = FourierFeatures(d_model, 8, 0.2, 4.0)
        else:
            self.band = nn.Embedding(n_bands, d_model)
        self.metadata = MetadataTokens(n_metadata, d_model)
        self.cls = nn.Parameter(torch.empty(d_model))
        self.mask_vector = nn.Parameter(torch.empty(d_model))
        self.dropout = nn.Dropout(dropout)
        sizes = (n_layers, d_model, n_heads, head_dim, 4 * d_model)
        self.encoder = Encoder(*sizes, dropout, 0.0, norm_first=True, packed_on_gpu=packed_on_gpu)
        self.pool = AttentionPool(d_model)
        self.merge = nn.Linear(2 * d_model, d_model)
        self.reconstruction = nn.Sequential(nn.Linear(d_model, d_model), nn.GELU(), nn.Linear(d_model, 2))
        frequencies = angular_frequencies(head_dim // 2, SHORTEST_PERIOD_DAYS, LONGEST_PERIOD_DAYS)
        self.rotary_frequencies = nn.Buffer(frequencies, persistent=False)
        self.apply(init_weights)
        for vector in (self.cls, self.mask_vector):
            nn.init.trunc_normal_(vector, std=0.02)

    def encode(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """States (B, L, d) of the observations and one vector (B, d) for each object.

        Args:
            batch: the tensors of `ContinuousTokenizer`, and `masked` (B, L) bool in pretraining.
        """
        # always part of the graph, or distributed training would miss the gradient of the vector outside pretraining
        masked = batch.get("masked", torch.zeros_like(batch["mask"]))
        x = torch.where(masked[..., None], self.mask_vector, self.features(batch["features"]))
        x = x + self.time(batch["time"]) + self._band(batch)
        extra = torch.cat(
            (self.cls.expand(x.shape[0], 1, -1), self.metadata(batch["metadata"], batch["metadata_known"])), dim=1
        )
        n_extra = extra.shape[1]
        mask = torch.cat((batch["mask"].new_ones(x.shape[0], n_extra), batch["mask"]), dim=1)
        x = self.dropout(torch.cat((extra, x), dim=1))
        states = self.encoder(x, mask, self._rotation(batch["time"], n_extra) if self.rotary else None)
        pooled = self.merge(torch.cat((states[:, 0], self.pool(states, mask)), dim=-1))
        return states[:, n_extra:], pooled

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        """One vector (B, d) for each object."""
        return self.encode(batch)[1]

    def reconstruct(self, states: Tensor) -> Tensor:
        """Mean and log scale (..., 2) of asinh(f / s) at each state (..., d)."""
        return self.reconstruction(states)

    def _band(self, batch: Mapping[str, Tensor]) -> Tensor:
        if hasattr(self, "band"):
            return self.band(batch["band"])
        # padding has wavelength 0; any finite number will do there
        return self.wavelength((batch["wavelength_nm"].clamp(min=1) / 500).log())

    def _rotation(self, time: Tensor, n_extra: int) -> Rotation:
        # extra tokens have no time: they are not turned
        time = nn.functional.pad(time, (n_extra, 0))
        angle = time[..., None] * self.rotary_frequencies
        return angle.cos(), angle.sin()
