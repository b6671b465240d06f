import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from astropy.io import fits

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.snad_frames import SnadFrames
from astro_lightning.data.surveys.ztf_cutouts import Sight, fetch_cutouts

OID = 795211400012345


@pytest.fixture
def archive():
    stream = io.BytesIO()
    fits.PrimaryHDU(np.ones((28, 28), dtype=np.float32)).writeto(stream)
    seen = {"paths": [], "open": 0, "most": 0, "broken": set()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen["paths"].append(self.path)
            seen["open"] += 1
            seen["most"] = max(seen["most"], seen["open"])
            time.sleep(0.02)
            seen["open"] -= 1  # before the answer, upon which the client may ask again
            if any(word in self.path for word in seen["broken"]):
                self.send_error(404)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(stream.getvalue())))
                self.end_headers()
                self.wfile.write(stream.getvalue())

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()


def test_address_names_field_filter_detector_and_quadrant():
    file = Sight(OID, 10.5, -3.25, 20180101123456).remote(28)
    assert file.name == "ztf_20180101123456_000795_zr_c11_o_q4_sciimg.fits"
    assert "/sci/2018/0101/123456/ztf_" in file.url and "center=10.500000,-3.250000&size=28pix" in file.url
    with pytest.raises(BadInput):
        Sight(123, 0, 0, 20180101123456).remote(28)


def test_cutouts_come_once_a_few_at_a_time_and_the_reader_takes_them(tmp_path, archive):
    url, seen = archive
    sights = [Sight(OID + i, 10, 20, 20180101000000 + day) for i in range(6) for day in range(3)]
    seen["broken"] = {"20180101000002"}
    failed = fetch_cutouts(sights, tmp_path, parallel=2, archive=url)
    assert set(failed) == {OID + i for i in range(6)} and seen["most"] <= 2
    seen["broken"], before = set(), len(seen["paths"])
    assert fetch_cutouts(sights, tmp_path, parallel=2, archive=url) == {}
    assert len(seen["paths"]) == before + 6
    assert sum(table.num_rows for table in SnadFrames().read(tmp_path)) == 6
    with pytest.raises(BadInput):
        fetch_cutouts(sights, tmp_path, parallel=100, archive=url)
