"""Turn survey frames into embeddings with a trained autoencoder."""

from pathlib import Path

from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """Turn survey frames into embeddings: astro-lightning rb_embed RUN_OF_RB_VAE FRAMES_FOLDER OUT.parquet."""
    if len(words) != 3:
        raise BadInput("rb_embed takes a run of task=rb_vae, a folder of frames and the Parquet file to write")
    from astro_lightning.core.build import build

    run, path, out = (Path(word).expanduser() for word in words)
    if not path.exists():
        raise BadInput(f"{path} does not exist: give the folder of frames")
    embed = {"_target_": "astro_lightning.tasks.rb_vae_rnn.embed.embed_survey"}
    n = build(embed, run=run, path=path, out=out, memory_gib=2.0)
    print(f"{n} objects embedded: {out}")
