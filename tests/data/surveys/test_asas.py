"""The ASAS archive: whatever its lines look like, an observation is read or counted, and a desktop's leftovers are no stars."""

import io
import tarfile

import numpy as np
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.asas import Asas


def archive(path, **files):
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"curves/{name.replace('_', '.')}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_lines_may_be_indented_and_what_is_no_number_is_counted(tmp_path, caplog):
    text = "# time mag err\n  2450001.5 11.1 0.1\n2450002.5 11.2 0.1\n2450003.5 11.3 -1\n\n"
    (table,) = Asas().read(archive(tmp_path / "a.tar.gz", star_dat=text, _star_dat="binary\x00"))
    assert table["id"].to_pylist() == ["star"]
    np.testing.assert_allclose(table["mjd"].to_pylist(), [[50001.0, 50002.0]])
    assert "1 of 3 observations left out" in caplog.text


def test_two_columns_are_no_light_curve(tmp_path):
    with pytest.raises(BadInput, match=r"star\.dat: a line is not 3 numbers"):
        list(Asas().read(archive(tmp_path / "a.tar.gz", star_dat="1 11.1\n2 11.2\n3 11.3\n")))
