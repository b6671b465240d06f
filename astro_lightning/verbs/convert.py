"""Convert to Parquet."""

from pathlib import Path

from astro_lightning.core.conf import data_block
from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """Convert to Parquet: astro-lightning convert FOLDER_OF_SPECTRA OUT.parquet, or convert plasticc CSV_FOLDER OUT_FOLDER."""
    if len(words) not in (2, 3):
        raise BadInput(
            "convert takes an input and an output, and before them the name of the data set if it is not spectra"
        )
    name = words[0] if len(words) == 3 else "spectra"
    source, out = (Path(word).expanduser() for word in words[-2:])
    if name == "spectra":
        from astro_lightning.data.surveys.spectra_convert import convert_spectra

        done = convert_spectra(source, out)
        for file, reason in done.skipped:
            print(f"skipped: {file}: {reason}")
        print(f"{done.n_spectra} spectra: {out}")
        return
    from astro_lightning.core.build import reader_of
    from astro_lightning.data.long_tables import LongTableSurvey

    data = data_block(name)
    reader = reader_of(data["reader"], data["memory_gib"]) if isinstance(data["reader"], dict) else None
    if not isinstance(reader, LongTableSurvey):
        raise BadInput(f"{name} is read as it is: nothing to convert")
    for part in reader.convert(source, out):
        print(part)
