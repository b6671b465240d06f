"""EROS-2: lists written as text, a curve for each band of a star, true periods."""

import gzip

import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.eros2 import Eros2

HEADER = "," + ",".join(f"{name}_points_{band}" for name in ("time", "light", "error") for band in "br") + "\n"
STARS = "Unnamed: 0,period,type,div_period\n1_2,1.2,3.0,2.0\n1_1,280.0,4.0,2.0\n"
ROWS = (
    '1_1,"[2.0, 1.0]","[1.5]","[17.5, 16.5]","[15.0]","[0.1, 0.1]","[0.2]"\n'
    '1_2,"[1.0, nan]",[],"[18.0, 18.0]",[],"[0.1, 0.1]",[]\n'
)


def written(folder, rows=ROWS, stars=STARS):
    with gzip.open(folder / "train_varlength_features.csv.gz", "wt") as file:
        file.write(HEADER + rows)
    (folder / "train.csv").write_text(stars)
    return folder


def test_each_band_is_a_curve_with_the_type_and_the_true_period_of_its_star(tmp_path, caplog):
    (both,) = Eros2().read(written(tmp_path))
    blue, red = both.slice(0, 2), both.slice(2)
    assert blue["id"].to_pylist() == ["1_1_B", "1_2_B"] and red["id"].to_pylist() == ["1_1_R", "1_2_R"]
    assert blue["group"].to_pylist() == red["group"].to_pylist() == ["1_1", "1_2"]
    assert blue["label"].to_pylist() == ["Mira", "RR_Lyrae"] and blue["period"].to_pylist() == [140.0, 0.6]
    assert blue["mjd"].to_pylist() == [[1.0, 2.0], [1.0]] and blue["mag"].to_pylist() == [[16.5, 17.5], [18.0]]
    assert red["mag"].to_pylist() == [[15.0], []]
    assert "1 of 4 observations left out" in caplog.text


def test_stars_need_no_types_to_be_scored(tmp_path):
    (written(tmp_path) / "train.csv").unlink()
    (table,) = Eros2(bands=["R"]).read(tmp_path)
    assert table["id"].to_pylist() == ["1_1_R", "1_2_R"] and "label" not in table.column_names
    reader = Eros2(bands=["R"])
    reader.scoring = True
    written(tmp_path, stars=STARS.replace("type", "quality"))
    (table,) = reader.read(tmp_path)
    assert table["label"].to_pylist() == [None, None] and table["period"].to_pylist() == [140.0, 0.6]


@pytest.mark.parametrize(
    ("rows", "stars", "said"),
    [
        (ROWS.replace("[1.5]", "[1.5, 1.6]"), STARS, "row 0: light_points_r and time_points_r differ in length"),
        (ROWS.replace("[1.5]", "[soon]"), STARS, "time_points_r"),
        (ROWS, STARS.replace("4.0,", "5.0,"), "label '5' has no class"),
        (ROWS, STARS.replace("div_period", "divisor"), "missing column div_period"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, rows, stars, said):
    with pytest.raises(BadInput, match=f"^[^\n]*{said}[^\n]*$"):
        list(Eros2().read(written(tmp_path, rows, stars)))


def test_a_band_that_is_not_there_is_named():
    with pytest.raises(BadInput, match=r"data\.reader\.bands=\['V'\]: give some of B, R"):
        Eros2(bands=["V"])
