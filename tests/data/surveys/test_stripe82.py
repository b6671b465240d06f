"""Stripe 82: each band of a star a curve of its own, with the star's type and period where they are known."""

import io
import tarfile

import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.stripe82 import CURVES, PERIODS, Stripe82


def archive(folder, **stars):
    with tarfile.open(folder / CURVES, "w:gz") as tar:
        for name, rows in {"0README": "two bands\n", **{f"{n[1:]}.dat": text for n, text in stars.items()}}.items():
            member = tarfile.TarInfo(f"table1/{name}")
            member.size = len(rows)
            tar.addfile(member, io.BytesIO(rows.encode()))
    return folder


def epoch(time_d, mag):
    """A line with bands half a minute apart and a magnitude apart; 99.99 of a band is a placeholder."""
    return " ".join(["10.0", "-0.5", *(f"{time_d + k / 2880:.6f} {mag + k:.2f} 0.02" for k in range(5))]) + "\n"


def test_a_band_is_a_curve_in_order_of_time_without_placeholders(tmp_path, caplog):
    later, sooner, lost = epoch(52001.0, 17.0), epoch(52000.0, 16.0), epoch(52002.0, -99.99)
    folder = archive(tmp_path, n12=later + sooner + lost, n7=sooner)
    (folder / PERIODS).write_text("Num,Type,Per\n7,ab,0.61\n12,c,0.33\n")
    (table,) = Stripe82(bands=["g", "r"]).read(folder)
    assert table["id"].to_pylist() == ["12_g", "12_r", "7_g", "7_r"]
    assert table["group"].to_pylist() == [12, 12, 7, 7]
    assert table["label"].to_pylist() == ["RRc", "RRc", "RRab", "RRab"]
    assert table["period"].to_pylist() == [0.33, 0.33, 0.61, 0.61]
    assert table["mag"].to_pylist()[:2] == [[17.0, 18.0], [18.0, 19.0]]
    assert table["mjd"].to_pylist()[0] == pytest.approx([52000 + 1 / 2880, 52001 + 1 / 2880], abs=1e-6)
    assert "2 of 8 observations left out" in caplog.text


def test_stars_need_no_types_to_be_scored(tmp_path):
    folder = archive(tmp_path, n7=epoch(52000.0, 16.0))
    (table,) = Stripe82().read(folder)
    assert table["id"].to_pylist() == [f"7_{band}" for band in "ugriz"] and "label" not in table.column_names
    (folder / PERIODS).write_text("Num,Type,Per\n8,ab,0.61\n")
    (table,) = Stripe82(bands=["g"]).read(folder)
    assert table["label"].to_pylist() == [None] and table["period"].to_pylist() == [None]


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"data\.reader\.bands=\['V'\]: give some of u, g, r, i, z"):
        Stripe82(bands=["V"])
    with pytest.raises(BadInput, match=r"7\.dat: a line is not 17 numbers"):
        list(Stripe82().read(archive(tmp_path, n7="10.0 -0.5 52000 17.0 0.02\n")))
    with pytest.raises(BadInput, match=r"star\.dat is of no star, which have numbers"):
        list(Stripe82().read(archive(tmp_path, nstar=epoch(52000.0, 16.0))))
    archive(tmp_path, n7=epoch(52000.0, 16.0))
    (tmp_path / PERIODS).write_text("Num,Type\n7,ab\n")
    with pytest.raises(BadInput, match=rf"{PERIODS}: missing column Per"):
        list(Stripe82().read(tmp_path))
