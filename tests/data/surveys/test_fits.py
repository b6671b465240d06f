import io

import numpy as np
import pytest
from astropy.io import fits

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.fits import read_hdus, read_image


def as_bytes(unit: fits.PrimaryHDU | fits.HDUList) -> bytes:
    stream = io.BytesIO()
    unit.writeto(stream)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_pixels_equal_astropys(dtype):
    pixels = np.random.default_rng(0).normal(100, 30, (13, 17)).astype(dtype)
    assert np.array_equal(read_image(as_bytes(fits.PrimaryHDU(pixels)))[0], pixels.astype(np.float32))


def test_scaled_integers_and_nan():
    unit = fits.PrimaryHDU(np.array([[1.0, 2.5], [np.nan, 4.0]], dtype=np.float32))
    assert np.array_equal(read_image(as_bytes(unit))[0], unit.data, equal_nan=True)
    scaled = fits.PrimaryHDU(np.array([[10.0, 20.0]], dtype=np.float32))
    scaled.scale("int16", bscale=0.5, bzero=3)
    np.testing.assert_allclose(read_image(as_bytes(scaled))[0], [[10, 20]], atol=0.5)


def test_image_in_an_extension_and_header_values():
    image = fits.ImageHDU(np.ones((4, 5), dtype=np.float32))
    image.header["HMJD"], image.header["NAME"] = 58000.25, "it's a / star"
    pixels, header = read_image(as_bytes(fits.HDUList([fits.PrimaryHDU(), image])))
    assert pixels.shape == (4, 5)
    assert header.get("HMJD") == 58000.25


@pytest.mark.parametrize(
    "raw", [b"", b"no fits at all", as_bytes(fits.PrimaryHDU(np.ones((63, 63), dtype=np.float32)))[:5000]]
)
def test_unusable_bytes_are_bad_input(raw):
    with pytest.raises(BadInput):
        read_image(raw)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("cards", ["NAXIS   = 1E999", "PCOUNT  = 1E999", "PCOUNT  = -2880"])
def test_a_file_whose_header_makes_no_sense_is_named(tmp_path, cards):
    header = "".join(card.ljust(80) for card in ("SIMPLE  = T", "BITPIX  = 8", cards, "END"))
    (tmp_path / "a.fits").write_bytes(header.ljust(2 * 2880).encode())
    with pytest.raises(BadInput, match=r"a\.fits: cannot be read"):
        read_hdus(tmp_path / "a.fits")
