import io
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astro_lightning.__main__ import main
from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.snad_frames import SnadFrames
from astro_lightning.data.surveys.ztf_cutouts import Sight, fetch_cutouts

sys.path.insert(0, str(Path(__file__).parents[2]))
from command import astro_lightning

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
    assert len(failed) == 6 and all("HTTP 404" in reason for reason in failed) and seen["most"] <= 2
    seen["broken"], before = set(), len(seen["paths"])
    assert fetch_cutouts(sights, tmp_path, parallel=2, archive=url) == []
    assert len(seen["paths"]) == before + 6
    assert sum(table.num_rows for table in SnadFrames().read(tmp_path)) == 6
    with pytest.raises(BadInput):
        fetch_cutouts(sights, tmp_path, parallel=100, archive=url)


def test_command_goes_on_behind_a_lost_image_says_which_and_fetches_nothing_twice(tmp_path, archive):
    url, seen = archive
    rows = [f"{OID},10.5,-3.25,{20180101000000 + day}" for day in range(3)]
    table, out = tmp_path / "sights.csv", tmp_path / "cutouts"
    table.write_text("\n".join(["oid,ra_deg,dec_deg,filefracday", *rows]))
    seen["broken"] = {"20180101000001"}
    words = ("fetch_cutouts", str(table), str(out), f"archive={url}")
    said = astro_lightning(*words, folder=tmp_path, expect=2)
    error = [line for line in said.stderr.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and "1 of 3 cutouts" in error[0] and "20180101000001" in error[0] and "404" in error[0]
    assert said.stdout.splitlines() == [f"2 of 3 cutouts: {out}"]
    assert len(list((out / str(OID)).glob("*.fits"))) == 2
    seen["broken"], seen["paths"] = set(), []
    astro_lightning(*words, folder=tmp_path)
    assert len(seen["paths"]) == 1 and len(list((out / str(OID)).glob("*.fits"))) == 3


@pytest.mark.parametrize(
    ("text", "option", "said"),
    [
        ("oid,ra_deg,dec_deg\n1,2,3\n", "parallel=2", "missing column filefracday"),
        (f"oid,ra_deg,dec_deg,filefracday\n{OID},2,,20180101000000\n", "parallel=2", "row 0 has no dec_deg"),
        (f"oid,ra_deg,dec_deg,filefracday\n{OID},2,x,20180101000000\n", "parallel=2", "column dec_deg must hold"),
        (f"oid,ra_deg,dec_deg,filefracday\n{OID},2,3,20180101000000\n", "parallel=99", "parallel=99"),
        (f"oid,ra_deg,dec_deg,filefracday\n{OID},2,3,20180101000000\n", "parallel=x", "whole number"),
        (f"oid,ra_deg,dec_deg,filefracday\n{OID},2,3,20180101000000\n", "paralel=2", "fetch_cutouts takes"),
    ],
)
def test_bad_tables_and_options_are_one_line(tmp_path, capsys, text, option, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SystemExit):
        main(["fetch_cutouts", str(tmp_path / "t.csv"), str(tmp_path / "out"), option])
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: ") and len(stderr.splitlines()) == 1 and said in stderr
