"""Tables of light-curve statistics of PLAsTiCC objects, one row per object, with the survey's metadata beside them."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import METADATA, to_objects
from astro_lightning.data.metadata import Metadata
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.tables import column_names, read_table, readable

log = logging.getLogger(__name__)

STATISTICS = (
    "amplitude",
    "percent_beyond_1_std",
    "maximum",
    "max_slope",
    "median",
    "median_absolute_deviation",
    "percent_close_to_median",
    "minimum",
    "skew",
    "std",
    "weighted_average",
)
COLUMNS = [f"{statistic}__{band}" for statistic in STATISTICS for band in range(6)]


class PlasticcFeatures(Survey[Path]):
    """Parquet files with `object_id` and the statistics `amplitude__0` .. `weighted_average__5` (statistic, band ugrizy).

    Parquet files of PLAsTiCC metadata in the same folder (`object_id`, `hostgal_photoz`, ...) are joined by `object_id`, as
    far as they go; `z__`, `zerr__` and `mwebv__` of the table stand in. `hostgal_specz` becomes `specz`, which is no feature:
    see `tasks.plasticc.redshift_mixture`. Records hold the statistics as `statistics` of length
    66, in the order of `COLUMNS`.
    """

    layout = (
        "*.parquet with the columns object_id, amplitude__0 .. weighted_average__5, and *metadata.parquet beside it"
    )

    def find(self, path: Path) -> list[Path]:
        """Parquet files with such columns, by name."""
        files = [file for file in visible(path, "*.parquet") if file.suffix == ".parquet"]
        return [file for file in files if "amplitude__0" in column_names(file)]

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """All records of a file: tables of this kind are small."""
        features = read_table(source)
        missing = [name for name in COLUMNS if name not in features.column_names]
        if missing:
            raise BadInput(f"{source}: missing column {missing[0]}; needed are {COLUMNS[0]} .. {COLUMNS[-1]}")
        table = Metadata(features, source)
        ids = table.ids("object_id")
        found = self._metadata(source.parent, ids)
        if "z__" not in features.column_names and not (found and set(found.table.column_names) >= {"hostgal_photoz"}):
            log.warning(
                "%s: no column z__, and no *metadata with hostgal_photoz beside it: redshifts are not known", source
            )

        def number(own: str, *names: str) -> np.ndarray:
            joined = found.numbers(*names) if found else np.full(len(ids), np.nan)
            return np.where(np.isnan(joined), table.numbers(own), joined)

        photoz = number("z__", "hostgal_photoz")
        columns = {
            "label": self.class_names(pc.coalesce(table.labels("target"), _labels(found, len(ids))), str(source)),
            "photoz": photoz,
            "photoz_err": number("zerr__", "hostgal_photoz_err"),
            "mwebv": number("mwebv__", "mwebv"),
            "ddf": number("ddf", "ddf", "ddf_bool"),
            "specz": found.numbers("hostgal_specz") if found else np.full(len(ids), np.nan),
            "galactic": np.where(np.isnan(photoz), np.nan, photoz == 0).astype(np.float32),
        }
        values = np.column_stack([table.numbers(name) for name in COLUMNS]).astype(np.float32)
        statistics = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        objects = to_objects(ids, {name: columns[name] for name in ("label", *METADATA, "galactic") if name in columns})
        yield objects.append_column("statistics", statistics)

    @staticmethod
    def _metadata(folder: Path, ids: pa.ChunkedArray) -> Metadata | None:
        """The metadata of these objects from all files of the folder, null where no file has the object."""
        files = [file for file in visible(folder, "*") if file.suffix in (".parquet", ".csv")]
        files = [file for file in files if {"object_id", "hostgal_photoz"} <= set(column_names(file))]
        if not files:
            return None
        table = pa.concat_tables([read_table(file) for file in files], promote_options="permissive")
        with readable(files[0]):
            known = Metadata(table, files[0]).ids("object_id").combine_chunks().cast(ids.type)
            place = pc.index_in(ids, value_set=known)
        if place.null_count:
            log.warning("%s: %d of %d objects have no metadata row", files[0], place.null_count, len(ids))
        if pc.count_distinct(known).as_py() < len(known):
            log.warning("%s: objects have several metadata rows; the first of each is taken", files[0])
        return Metadata(table.take(place), files[0])


def _labels(found: Metadata | None, n_objects: int) -> pa.ChunkedArray:
    return found.labels("target") if found else pa.chunked_array([pa.nulls(n_objects, pa.string())])
