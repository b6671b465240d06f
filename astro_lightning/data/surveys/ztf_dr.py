"""ZTF data-release light curves (Masci et al. 2019, arXiv:1902.01872)."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import identifiers, to_objects, to_observations, to_records
from astro_lightning.data.long_tables import BYTES_PER_OBSERVATION
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.tables import column_names, read_batches

_COLUMNS = ("objectid", "filterid", "hmjd", "mag", "magerr", "catflags")
# The deepest fields have about this many epochs of an object in a filter; it bounds how many objects are read at once.
_EPOCHS = 2000


class ZtfDr(Survey[Path]):
    """Bulk light curves, one Parquet file per field, filter, CCD and quadrant (`ztf_000355_zg_c01_q1_dr13.parquet`).

    There are no labels. Only epochs with `catflags` 0 are kept; an object left with none stays, with empty lists.
    Magnitudes (AB, PSF fit to the science image) become fluxes of zero-point 27.5, and `mjd` is heliocentric. One
    source has another `objectid`, and so another record, in each filter and field: split by sky position where that
    matters.
    """

    layout = "ztf_<field>_<filter>_c<ccd>_q<quadrant>_dr<release>.parquet"

    def find(self, path: Path) -> list[Path]:
        """Files at any depth, by name."""
        return [file for file in visible(path, "**/ztf_*.parquet") if file.suffix == ".parquet"]

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """Records of one file."""
        found = column_names(source)
        missing = [name for name in _COLUMNS if name not in found]
        if missing:
            raise BadInput(f"{source}: missing column {', '.join(missing)}; found {', '.join(found)}")
        objects = max(1, int(self.memory_gib * 2**30 / BYTES_PER_OBSERVATION / _EPOCHS))
        for batch in read_batches(source, {name: name for name in _COLUMNS}, objects):
            yield _records(batch, str(source))


def _records(batch: pa.Table, where: str) -> pa.Table:
    lists = {name: pc.list_flatten(batch[name]) for name in ("hmjd", "mag", "magerr", "catflags")}
    lengths = {len(values) for values in lists.values()}
    if len(lengths) > 1:
        raise BadInput(f"{where}: hmjd, mag, magerr and catflags differ in length within an object: get the file again")
    good = pc.equal(lists.pop("catflags"), 0)
    of_object = pc.list_parent_indices(batch["hmjd"])
    flat = {name: batch[name].take(of_object) for name in ("objectid", "filterid")}
    observations = to_observations(pa.table(flat | lists).filter(good), "ztf", where=where)
    return to_records(observations, to_objects(identifiers(batch["objectid"], where), {}), where=where)
