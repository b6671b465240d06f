"""Join folds that were runs of their own."""

from pathlib import Path

from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """Join folds that were runs of their own: astro-lightning folds OUT_FOLDER RUN RUN ..."""
    if len(words) < 3:
        raise BadInput("folds takes the folder to write and the run folders of all folds (task.folds=[0], [1], ...)")
    from astro_lightning.predict.folds import join_folds
    from astro_lightning.report.card import write_card
    from astro_lightning.report.html import write_report
    from astro_lightning.report.table import print_metrics

    out, *runs = (Path(word).expanduser() for word in words)
    metrics = join_folds(runs, out, ["astro-lightning", "folds", *words])
    write_report(out)
    write_card(out)
    print_metrics(metrics, out)
