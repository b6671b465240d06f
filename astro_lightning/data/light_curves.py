"""Light-curve records: one row per object, made from tables with one row per observation.

Fluxes of all surveys are on one scale, the AB zero-point 27.5 (SNANA's FLUXCAL, as in PLAsTiCC and SPCC), so that
networks can be trained across surveys: `mag = 27.5 - 2.5 log10(flux)`.
"""

import logging
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.data.bands import Bands, band_index
from astro_lightning.data.errors import BadInput

log = logging.getLogger(__name__)

FLUX_ZERO_POINT = 27.5
# Whole numbers from here on are not exact.
LARGEST_EXACT = {pa.float16(): 2.0**11, pa.float32(): 2.0**24, pa.float64(): 2.0**53}
# Days, Julian dates included; what lies beyond is a placeholder, and would make a period search endless.
LATEST_D = 3e6
# Days from the median of a curve: no survey, not even of plates, lasted so long. A zero or a Julian date among modified ones does.
LONGEST_D = 40_000.0
DETECTED_SNR = 5.0
LARGEST_MAG = 40.0  # fainter or brighter than anything a telescope measured: 99 and -99 stand for no measurement
# The same of fluxes: 1e30 or 9.97e36 fill gaps, and have no square.
LARGEST_FLUX = 10 ** (0.4 * (LARGEST_MAG + FLUX_ZERO_POINT))
# Least and most of what an object can have; no line of sight through the Galaxy has more extinction in the surveys' maps.
POSSIBLE = {
    "photoz": (-0.1, np.inf), "photoz_err": (0.0, np.inf), "specz": (-0.1, np.inf), "mwebv": (0.0, 20.0)
}  # fmt: skip

# Metadata that records of every light-curve survey have, NaN where not known. `specz` is for analysis and for training; of what
# is scored it is no input.
METADATA = ("photoz", "photoz_err", "mwebv", "ddf", "specz")

# Accepted names of each column of an observation table.
COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("object_id", "oid", "objectid", "objid", "candid", "ID", "id"),
    "mjd": ("mjd", "MJD", "hmjd"),
    "band": ("passband", "band", "filter", "filterid", "fid"),
    "flux": ("flux", "FLUXCAL", "FLUX"),
    "flux_err": ("flux_err", "flux_error", "FLUXCALERR", "flux_uncert"),
    "detected": ("detected", "detected_bool"),
    "mag": ("mag", "MAG", "magnitude"),
    "mag_err": ("mag_err", "magerr", "MAGERR", "sigmag"),
}

OBSERVATIONS = pa.schema(
    [
        ("id", pa.int64()),
        ("mjd", pa.float64()),
        ("band", pa.int8()),
        ("flux", pa.float32()),
        ("flux_err", pa.float32()),
        ("detected", pa.bool_()),
    ]
)


def choose_columns(found: list[str], where: str) -> dict[str, str]:
    """Which of a table's columns hold what, as record column -> the table's name.

    Raises:
        BadInput: A column is missing or there twice; the message names it, `where`, and what was found.
    """
    check_names(found, where)
    chosen = {name: next(n for n in names if n in found) for name, names in COLUMNS.items() if set(names) & set(found)}
    needed = ["id", "mjd", "band"] + (
        ["mag", "mag_err"] if "mag" in chosen and "flux" not in chosen else ["flux", "flux_err"]
    )
    missing = [f"{name} ({' or '.join(COLUMNS[name])})" for name in needed if name not in chosen]
    if missing:
        raise BadInput(f"{where}: missing column {', '.join(missing)}; found {', '.join(found)}")
    return {name: chosen[name] for name in [*needed, *(["detected"] if "detected" in chosen else [])]}


def check_names(found: list[str], where: str) -> None:
    """Whether each column has a name of its own.

    Raises:
        BadInput: Two share one; which of them is meant nobody can tell.
    """
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{where}: column {twice} is there {found.count(twice)} times: keep one")


def to_observations(
    table: pa.Table, bands: Bands, *, where: str = "photometry", first_row: int = 0, zero_point: float = FLUX_ZERO_POINT
) -> pa.Table:
    """Bring a table with one row per observation to the names, types and flux scale of records; rows stay as they are.

    Args:
        table: Columns under any of the names in `COLUMNS`; magnitudes (AB) may stand in for flux.
        bands: Survey whose band names they are, or the names with their wavelengths (see `bands.aliases`).
        where: File that a message names.
        first_row: Row of that file at which `table` starts.
        zero_point: AB zero-point of the table's flux, 23.9 for microjansky; magnitudes need none.

    Returns:
        Table of schema `OBSERVATIONS` (`id` int64 or string). `detected` is |flux / flux_err| > 5 where the table has
        none.

    Raises:
        BadInput: A column is missing or of the wrong type; an unknown band.
    """
    names = choose_columns(table.column_names, where)
    number = {
        name: _floats(table[names[name]], names[name], where)
        for name in names
        if name not in ("id", "band", "detected")
    }
    if "mag" in number:
        # what no telescope measured stands for no measurement
        mag = np.where(np.abs(number["mag"]) < LARGEST_MAG, number["mag"], np.nan)
        flux = 10 ** (-0.4 * (mag - FLUX_ZERO_POINT))
        flux_err = flux * number["mag_err"] * (0.4 * np.log(10))
    else:
        scale = 10 ** (-0.4 * (zero_point - FLUX_ZERO_POINT))
        flux, flux_err = number["flux"], number["flux_err"]
        if scale != 1:
            flux, flux_err = flux * scale, flux_err * scale
    if "detected" in names:
        given = table[names["detected"]]
        given = pc.if_else(pc.is_nan(given), None, given) if pa.types.is_floating(given.type) else given
        detected = pc.fill_null(cast(given, pa.bool_(), names["detected"], where), False)
    else:
        detected = np.abs(flux) > DETECTED_SNR * flux_err
    with np.errstate(over="ignore"):
        single = {"flux": flux.astype(np.float32), "flux_err": flux_err.astype(np.float32)}
    return pa.table(
        {
            "id": identifiers(table[names["id"]], where),
            "mjd": number["mjd"],
            "band": band_index(table[names["band"]], bands, where, first_row),
            **single,
            "detected": detected,
        }
    )


def identifiers(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Object identifiers as int64 or string.

    Raises:
        BadInput: One is missing, or is a number that is not whole or too large to be exact.
    """
    if column.null_count:
        raise BadInput(f"{where}: {column.null_count} rows have no object id: fill or remove them")
    number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if (
        pa.types.is_floating(column.type)
        and pc.any(pc.greater_equal(pc.abs(column), LARGEST_EXACT[column.type])).as_py()
    ):
        raise BadInput(
            f"{where}: object ids are {column.type}, which has lost their last digits: give integers or text"
        )
    return cast(column, pa.int64() if number else pa.string(), "object id", where)


def to_objects(
    ids: pa.ChunkedArray | pa.Array, columns: Mapping[str, pa.Array | pa.ChunkedArray | np.ndarray]
) -> pa.Table:
    """A metadata table for `to_records`: `label` and all of `METADATA`, null or NaN where `columns` has none.

    Values out of `POSSIBLE` are placeholders (-9, -999) and not known; a warning counts them.
    """
    empty = {"label": pa.nulls(len(ids), pa.string()), **{name: np.full(len(ids), np.nan) for name in METADATA}}
    table = pa.table({"id": ids, **empty, **columns})
    for name in METADATA:
        position = table.schema.get_field_index(name)
        table = table.set_column(position, name, pc.fill_null(table[name].cast(pa.float32()), np.nan))
    for name, (least, most) in POSSIBLE.items():
        values = table[name].to_numpy()
        odd = ~np.isnan(values) & ~((values >= least) & (values < most))
        if odd.any():
            log.warning(
                "%d objects have an impossible %s (first: %s), taken as not known", odd.sum(), name, values[odd][0]
            )
            position = table.schema.get_field_index(name)
            table = table.set_column(position, name, pa.array(np.where(odd, np.float32(np.nan), values)))
    return table


def to_records(observations: pa.Table, objects: pa.Table | None = None, *, where: str = "photometry") -> pa.Table:
    """Group observations by object.

    Observations may come in any order: they are sorted by time, then band, within each object. One without finite time, flux
    and error, with a flux or error of LARGEST_FLUX or more, at a time beyond 3 million days or LONGEST_D from the object's others,
    or with an error of 0 or less, is dropped.
    Of several at one time in one band the one with the smallest error stays (a mean would take a repeated row for a
    second measurement). All are counted in logged warnings. An object of `objects` without observations stays, with empty
    lists, so that a prediction has a row for it; one that is only in `observations` stays too, at the end, without metadata,
    and is counted in a warning.

    Args:
        observations: As `to_observations` returns them.
        objects: As `to_objects` returns them, plus `group` or other float32 or bool columns; fixes the order. None:
            order of first appearance.
        where: File that a message names.

    Returns:
        Records: a row per object, the columns of `objects`, and the others of `OBSERVATIONS` as lists.

    Raises:
        BadInput: Two rows of `objects` have one id, or its ids are of another type.
    """
    ids = observations["id"].combine_chunks()
    runs = pc.run_end_encode(ids)
    run_ids = runs.values.slice(0, len(runs.run_ends))
    objects = _all_objects(pc.unique(run_ids), objects, where)
    run_rows = pc.index_in(run_ids, value_set=objects["id"]).to_numpy()
    row = np.repeat(run_rows, np.diff(runs.run_ends.to_numpy(), prepend=0))
    column = {name: observations[name].to_numpy() for name in ("mjd", "band", "flux", "flux_err", "detected")}
    column["row"] = row
    column = _drop_strays(_sort(_drop_bad(column, where), where), objects, where)
    offsets = offsets_of(column.pop("row"), objects.num_rows)
    for name, values in column.items():
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values, OBSERVATIONS.field(name).type))
        objects = objects.append_column(name, lists)
    return objects


def warn_of_float32(kind: pa.DataType, where: str) -> None:
    """Times in float32 have lost their minutes: nothing brings them back."""
    if kind in (pa.float32(), pa.float16()):
        log.warning("%s: times are %s, exact to minutes at best: store them as float64", where, kind)


def check_objects(objects: pa.Table, id_type: pa.DataType, where: str) -> None:
    """Whether metadata can be joined to photometry whose ids are of `id_type`.

    Raises:
        BadInput: Ids are of another type, or one has several rows.
    """
    ids = objects["id"]
    if not len(ids):
        raise BadInput(f"{where}: the table of its objects has no rows: give one row for each object, or leave it out")
    if ids.type != id_type:
        raise BadInput(
            f"{where}: object ids are {id_type} in the photometry and {ids.type} in the metadata: use one type"
        )
    counts = pc.value_counts(ids)
    if len(counts) < len(ids):
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
        raise BadInput(
            f"{where}: object {twice[0].as_py()} has several rows in the metadata ({len(twice)} do): keep one each"
        )


def _all_objects(found: pa.Array, objects: pa.Table | None, where: str) -> pa.Table:
    if objects is None:
        return to_objects(found, {})
    check_objects(objects, found.type, where)
    strangers = found.filter(pc.invert(pc.is_in(found, value_set=objects["id"])))
    if not len(strangers):
        return objects
    log.warning("%s: %d objects (first: %s) have no metadata row", where, len(strangers), strangers[0])
    unknown = {pa.bool_(): pa.scalar(False), pa.float32(): pa.scalar(np.nan, pa.float32())}
    rest = to_objects(strangers, {})
    for field in objects.schema:
        if field.name not in rest.column_names:
            column = strangers if field.name == "group" else pa.repeat(unknown[field.type], len(strangers))
            rest = rest.append_column(field.name, column)
    return pa.concat_tables([objects, rest.select(objects.column_names)])


def _drop_bad(column: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    good = (
        (np.abs(column["flux"]) < LARGEST_FLUX)
        & (np.abs(column["mjd"]) < LATEST_D)
        & (column["flux_err"] < LARGEST_FLUX)
        & (column["flux_err"] > 0)
    )
    if good.all():
        return column
    log.warning("%s: %d of %d observations dropped: no usable time, flux or error > 0", where, (~good).sum(), len(good))
    return {name: values[good] for name, values in column.items()}


def _drop_strays(column: dict[str, np.ndarray], objects: pa.Table, where: str) -> dict[str, np.ndarray]:
    good = near_median(column["mjd"], offsets_of(column["row"], objects.num_rows))
    if good.all():
        return column
    first = objects["id"][int(column["row"][~good][0])]
    log.warning("%s: %d observations dropped, at times %g days or more from the others of their object (first: %s)",
                where, (~good).sum(), LONGEST_D, first)  # fmt: skip
    return {name: values[good] for name, values in column.items()}


def near_median(time_d: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """True where a time lies within LONGEST_D of the median of its own curve.

    Args:
        time_d: Times of all curves end to end, ascending within each, shape (observations,).
        offsets: Curve i holds observations offsets[i] to offsets[i + 1], shape (curves + 1,).
    """
    length = np.diff(offsets)
    middle = np.repeat(offsets[:-1] + (length - 1) // 2, length)
    return np.abs(time_d - time_d[middle]) < LONGEST_D


def offsets_of(row: np.ndarray, n: int) -> np.ndarray:
    """Where the observations of each of n objects begin and end, shape (n + 1,), from the object of each, ascending."""
    return np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])


def _sort(column: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    keys = (column["band"], column["mjd"], column["row"])
    if _ascending(*keys):
        return column
    # of equal errors the least flux, so that it does not follow from the order of the rows
    order = np.lexsort((column["flux"], column["flux_err"], *keys))
    column = {name: values[order] for name, values in column.items()}
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.logical_or.reduce([np.diff(column[name]) != 0 for name in ("row", "mjd", "band")])
    if not first.all():
        log.warning("%s: %d repeated observations (same object, time, band) dropped", where, (~first).sum())
        column = {name: values[first] for name, values in column.items()}
    return column


def _ascending(band: np.ndarray, mjd: np.ndarray, row: np.ndarray) -> bool:
    """Whether observations are sorted already and no two share object, time and band: true of most surveys' files."""
    d_row, d_mjd, d_band = np.diff(row), np.diff(mjd), np.diff(band)
    return bool(np.all((d_row > 0) | ((d_row == 0) & ((d_mjd > 0) | ((d_mjd == 0) & (d_band > 0))))))


def _floats(column: pa.ChunkedArray, name: str, where: str) -> np.ndarray:
    kept = column if pa.types.is_floating(column.type) else cast(column, pa.float64(), name, where)
    return kept.to_numpy().astype(np.float64 if name in COLUMNS["mjd"] else kept.type.to_pandas_dtype(), copy=False)


def cast(column: pa.ChunkedArray, kind: pa.DataType, name: str, where: str) -> pa.ChunkedArray:
    """A column as another type.

    Raises:
        BadInput: A value cannot be; the message names `where` and the column.
    """
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadInput(f"{where}: column {name} is not {kind} ({str(error).splitlines()[0]})") from error
