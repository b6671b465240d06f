"""A sequence head that carries its autoencoder: frames in, decision out."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from astro_lightning.core.checkpoint import read_weights, restore
from astro_lightning.core.loader import Batch
from astro_lightning.tasks.rb_vae_rnn.deciding import draw_deciding_frames
from astro_lightning.tasks.rb_vae_rnn.module import SequenceModule
from astro_lightning.tasks.rb_vae_rnn.sequences import frame_inputs
from astro_lightning.tasks.rb_vae_rnn.vae import Vae


class EncodedModule(SequenceModule):
    """Trains a head on embeddings with the encoder frozen beside it, so that its checkpoint scores raw frames.

    Args:
        encoder: Checkpoint of the autoencoder.
        **shared: See `SequenceModule`.
    """

    network: nn.ModuleDict

    def __init__(self, *, encoder: str | None = None, **shared: Any) -> None:
        # The path ends with the fit: the weights travel in the checkpoint.
        super().__init__(encoder=encoder, **shared)

    def make_network(self) -> nn.Module:
        """Head and frozen encoder."""
        network = nn.ModuleDict({"head": super().make_network(), "vae": Vae(self.info["latent_dims"])})
        network["vae"].requires_grad_(False)
        return network

    def setup(self, stage: str) -> None:
        """Load the encoder before the fit."""
        if stage != "fit" or not self.hparams["encoder"]:
            return
        self.configure_model()
        self.network["vae"].load_state_dict(read_weights(Path(self.hparams["encoder"])))

    def on_train_epoch_start(self) -> None:
        """A frozen encoder keeps its running statistics too."""
        self.network["vae"].eval()

    def hand_over(self, best: Path, datamodule: Any, folder: Path) -> dict[str, Path]:
        """A picture of the frames that decided, once a run."""
        if self.trainer.is_global_zero and not (folder / "plots" / "deciding_frames.png").exists():
            draw_deciding_frames(restore(best).module.to(self.device), datamodule, folder)
        return {}

    def forward(self, batch: Batch) -> Tensor:
        """Logits (batch, n_classes) of embeddings, or of raw frames."""
        if "pixels" in batch:
            batch = {**batch, "frames": self.encode(batch)}
        return self.network["head"](batch)

    @torch.no_grad()
    def encode(self, batch: Batch) -> Tensor:
        """The head's inputs (total_frames, n_inputs) of raw frames."""
        mu, logvar = self.part("vae", Vae).encode(batch["pixels"])
        values = frame_inputs(
            mu.float().cpu().numpy(), logvar.float().cpu().numpy(), batch["offsets"].cpu().numpy(), self.info
        )
        return torch.from_numpy(values).to(mu.device)
