"""What the data module says of records that cannot be learned from."""

import numpy as np
import pyarrow as pa
import pytest

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records


def test_records_without_classes_name_the_remedy(tmp_path):
    data = RecordsData(data={}, cache=str(tmp_path))
    data.records, data.splits = Records.from_table(pa.table({"id": range(9)})), {"train": np.arange(9)}
    with pytest.raises(BadInput, match=r'holds 0 class \(none\).* writes part = "all" into RecordsData'):
        data.info()
