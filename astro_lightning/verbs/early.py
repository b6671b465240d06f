"""Test a finished run on light curves that are still growing."""

from pathlib import Path

from astro_lightning.data.errors import BadInput

DAYS = ("2", "5", "10", "20", "50", "100")


def main(words: list[str]) -> None:
    """Test a run on curves cut some days after the first detection: astro-lightning early RUN_FOLDER [DAYS ...]."""
    if not words:
        raise BadInput("early takes a run folder and, if you like, days since the first detection")
    folder = Path(words[0]).expanduser()
    if not (folder / "config.yaml").is_file():
        raise BadInput(f"{folder}: not a run folder, it has no config.yaml")
    try:
        days = [float(word) for word in words[1:] or DAYS]
    except ValueError as error:
        raise BadInput(f"days: {error}; give numbers behind the run folder") from error
    from astro_lightning.core.provenance import read_kept
    from astro_lightning.predict.early import predict_early
    from astro_lightning.report.card import write_card
    from astro_lightning.report.early import early_table
    from astro_lightning.report.html import write_report
    from astro_lightning.report.run_folder import read_run

    predict_early(read_kept(folder / "config.yaml"), folder, days)
    table = early_table(read_run(folder).example("early"))
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    report = write_report(folder)
    write_card(folder)
    print(f"Report: {report}")
