"""What the data module says of records that cannot be learned from."""

import numpy as np
import pyarrow as pa
import pytest
from untrained import TASKS, settings

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.stages import make_datamodule, stages_of
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records


def test_records_without_classes_name_the_remedy(tmp_path):
    data = RecordsData(data={}, cache=str(tmp_path))
    data.records, data.splits = Records.from_table(pa.table({"id": range(9)})), {"train": np.arange(9)}
    with pytest.raises(BadInput, match=r'holds 0 class \(none\).* writes part = "all" into RecordsData'):
        data.info()


def test_what_a_killed_process_left_in_the_cache_does_not_stay(tmp_path):
    cfg = settings(tmp_path, *TASKS["spectra"])
    data = make_datamodule(cfg, stages_of(cfg)[-1])
    folder = data.records_folder()
    left = folder.with_name(f".{folder.name}.0123abcd")  # half of the survey's spectra, at each kill another
    left.mkdir(parents=True)
    (left / "flux.values").write_bytes(b"half")
    data.prepare_data()
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]
