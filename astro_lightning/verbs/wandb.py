"""The panels of a run's report as a Weights & Biases page: wandb RUN [ENTITY/PROJECT]."""

from pathlib import Path

from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """The panels of a run's report as a Weights & Biases page: astro-lightning wandb RUN [ENTITY/PROJECT].

    Without a project, the page is written into the run folder and nothing is sent.
    """
    if not 1 <= len(words) <= 2:
        raise BadInput("wandb takes a run folder and, to save the page there, ENTITY/PROJECT")
    from astro_lightning.report.wandb_page import save_page, write_page

    folder = Path(words[0]).expanduser()
    print(save_page(folder, words[1]) if len(words) > 1 else write_page(folder))
