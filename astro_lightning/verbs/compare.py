"""Compare finished runs side by side."""

from pathlib import Path

from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """Compare finished runs side by side: astro-lightning compare RUN RUN ..."""
    if len(words) < 2:
        raise BadInput("compare takes two or more run folders")
    from rich.console import Console

    from astro_lightning.report.compare import compare as write
    from astro_lightning.report.compare import comparison_table

    runs = [Path(word).expanduser() for word in words]
    Console().print(comparison_table(runs))
    print(f"Report: {write(runs)}")
