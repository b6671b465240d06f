"""Light curves as CSV with a row per observation, brought to a row per curve."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import COLUMNS, cast, identifiers
from astro_lightning.data.tables import column_names, read_table

ENDINGS = (".csv", ".csv.gz")
# Julian dates and modified ones are told apart by size, whatever the column is called.
JULIAN_D = 2_400_000.5
NUMBERS = {"mjd": (*COLUMNS["mjd"], "hjd", "HJD"), "mag": COLUMNS["mag"], "magerr": COLUMNS["mag_err"]}
BANDS = (*COLUMNS["band"], "filtercode")


def missing_columns(found: list[str], ids: tuple[str, ...]) -> list[str]:
    """What such a file lacks, each as all its accepted names."""
    return [" or ".join(names) for names in (ids, *NUMBERS.values()) if not set(names) & set(found)]


def modified(time_d: np.ndarray) -> np.ndarray:
    """Modified Julian dates of Julian dates; smaller times as they stand."""
    return np.where(time_d > JULIAN_D, time_d - JULIAN_D, time_d)


def curves_of_rows(file: Path, ids: tuple[str, ...], of_object: tuple[str, ...], flags: str) -> pa.Table:
    """Group the rows of a file, which may stand in any order, by object and, where an object has several bands, by band.

    Args:
        file: CSV or gzipped CSV, read whole: `mjd` or `hjd` (days; Julian dates become modified ones), `mag`, `magerr`.
        ids: Accepted names of the column that names the object.
        of_object: Columns that are one value for each object; of those that are there the first value is kept.
        flags: Column of flags, kept where it is there.

    Returns:
        A row per curve in the order of first appearance: its id, lists `mjd`, `mag`, `magerr`, and what else was kept. Where an
        object has several bands the id is `<id>_<band>`, and `source` the object unless the file names a source.

    Raises:
        BadInput: A column is missing or holds text.
    """
    found = column_names(file)
    if missing := missing_columns(found, ids):
        raise BadInput(f"{file}: missing column {'; '.join(missing)}; found {', '.join(found)}")
    table = read_table(file)
    chosen = {name: next(n for n in names if n in found) for name, names in NUMBERS.items()}
    chosen |= {flags: flags} if flags in found else {}
    columns = {name: cast(table[column], pa.float64(), column, str(file)) for name, column in chosen.items()}
    columns = {name: pc.fill_null(values, float("nan")) for name, values in columns.items()}
    columns["mjd"] = pa.array(modified(columns["mjd"].to_numpy()))
    own = next(name for name in ids if name in found)
    kept = [name for name in of_object if name in found and name != own]
    columns |= {"id": identifiers(table[own], str(file)), **{name: table[name] for name in kept}}
    band = next((name for name in BANDS if name in found), None)
    if band is not None:
        columns["band"] = cast(table[band], pa.string(), band, str(file))
    keys = ["id"] if band is None else ["id", "band"]
    wanted = [*((name, "list") for name in chosen), *((name, "first") for name in kept)]
    # One thread: rows and objects stay in the order of the file.
    curves = pa.table(columns).group_by(keys, use_threads=False).aggregate(wanted)
    curves = curves.rename_columns([name.removesuffix("_list").removesuffix("_first") for name in curves.column_names])
    if band is not None and pc.count_distinct(curves["id"]).as_py() < curves.num_rows:
        one = pc.binary_join_element_wise(curves["id"].cast(pa.string()), curves["band"].fill_null("unknown"), "_")
        if not {"source", "obj_id"} & set(kept):
            curves = curves.append_column("source", curves["id"])
        curves = curves.set_column(curves.column_names.index("id"), "id", one)
    return curves
