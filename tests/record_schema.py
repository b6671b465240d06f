"""Columns that light-curve records of every survey have; a survey may add further flat ones."""

import pyarrow as pa

from astro_lightning.data.light_curves import METADATA, OBSERVATIONS


def record_schema(id_type=None):
    flat = [("id", id_type or pa.int64()), ("label", pa.string()), *((name, pa.float32()) for name in METADATA)]
    lists = [(field.name, pa.list_(field.type)) for field in OBSERVATIONS if field.name != "id"]
    return pa.schema(flat + lists)
