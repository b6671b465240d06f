import hashlib
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.data.fetch import MAX_BREAKS, RemoteFile, fetch

CONTENT = bytes(range(256)) * 4096


class Server:
    """A web server with Range support that can break off and forget."""

    def __init__(self):
        self.content = CONTENT
        self.etag = '"v1"'
        self.kind = "application/octet-stream"
        self.send_at_most = []  # bytes of each coming answer before the connection drops; empty = all
        self.ranges = []  # Range headers as they came
        self.go_on = threading.Event()  # until it is set an answer waits before its body
        self.go_on.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers.get("Range")
                outer.ranges.append(asked)
                if self.path != "/data.bin":
                    self.send_error(404)
                    return
                start = int(re.match(r"bytes=(\d+)-", asked).group(1)) if asked else 0
                if self.headers.get("If-Range", outer.etag) != outer.etag:
                    start = 0
                if start >= len(outer.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(outer.content)}")
                    self.end_headers()
                    return
                body = outer.content[start:]
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(outer.content) - 1}/{len(outer.content)}")
                self.send_header("Content-Type", outer.kind)
                self.send_header("ETag", outer.etag)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                outer.go_on.wait(10)
                self.wfile.write(body[: outer.send_at_most.pop(0)] if outer.send_at_most else body)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/data.bin"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def file(self, **changes):
        return RemoteFile(
            **{"url": self.url, "name": "data.bin", "sha256": hashlib.sha256(CONTENT).hexdigest()} | changes
        )


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_downloads_verifies_and_leaves_only_the_file(server, tmp_path):
    folder = tmp_path / "new" / "folder"
    assert fetch([server.file(size=len(CONTENT))], folder) == [folder / "data.bin"]
    assert (folder / "data.bin").read_bytes() == CONTENT
    assert names(folder) == ["data.bin"]


def test_file_already_there_is_not_asked_for_again(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    fetch([server.file()], tmp_path, progress=False)
    assert server.ranges == []


def test_other_file_in_its_place_is_refused_and_kept(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"mine")
    with pytest.raises(BadInput, match="delete it to fetch it again"):
        fetch([server.file()], tmp_path, progress=False)
    assert (tmp_path / "data.bin").read_bytes() == b"mine"


def test_broken_connection_is_taken_up_where_it_ended(server, tmp_path):
    server.send_at_most = [100_000, 50_000]
    fetch([server.file()], tmp_path, progress=False)
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_later_call_resumes_what_an_earlier_one_began(server, tmp_path):
    server.send_at_most = [1000] * (MAX_BREAKS + 1)
    with pytest.raises(BadInput, match="run again to resume"):
        fetch([server.file()], tmp_path, progress=False)
    begun = (tmp_path / "data.bin.part").stat().st_size
    assert begun == 1000 * (MAX_BREAKS + 1)
    assert not (tmp_path / "data.bin").exists()
    fetch([server.file()], tmp_path, progress=False)
    assert server.ranges[-1] == f"bytes={begun}-"
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["data.bin"]


def test_halves_of_two_versions_are_never_joined(server, tmp_path):
    server.send_at_most = [1000] + [0] * 9
    with pytest.raises(BadInput):
        fetch([server.file(sha256=None)], tmp_path, progress=False)
    server.send_at_most, server.content, server.etag = [], CONTENT[::-1], '"v2"'
    fetch([server.file(sha256=None)], tmp_path, progress=False)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT[::-1]


def test_partial_file_that_is_complete_is_accepted(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    fetch([server.file()], tmp_path, progress=False)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_partial_file_longer_than_the_original_is_begun_anew(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"more")
    fetch([server.file()], tmp_path, progress=False)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"size": 17}])
def test_wrong_checksum_or_size_removes_the_partial_file(server, tmp_path, wrong):
    with pytest.raises(BadInput, match="expected") as caught:
        fetch([server.file(**wrong)], tmp_path, progress=False)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_missing_page_says_so(server, tmp_path):
    with pytest.raises(BadInput, match="HTTP 404"):
        fetch([server.file(url=server.url + "x")], tmp_path, progress=False)


def test_no_network_names_the_place_for_the_file(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(BadInput, match="no connection") as caught:
        fetch([RemoteFile(f"http://127.0.0.1:{port}/x.csv", "x.csv")], tmp_path, progress=False)
    assert str(tmp_path / "x.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_host_is_a_plain_message(tmp_path):
    with pytest.raises(BadInput, match="no connection"):
        fetch([RemoteFile("http://no-such-host.invalid/x.csv", "x.csv")], tmp_path, progress=False)


def test_unknown_checksum_is_printed_kept_and_held_to(server, tmp_path, capsys):
    fetch([server.file(sha256=None)], tmp_path)
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert digest in capsys.readouterr().out
    assert json.loads((tmp_path / "checksums.json").read_text()) == {"data.bin": digest}

    fetch([server.file(sha256=None)], tmp_path)
    assert capsys.readouterr().out == ""
    (tmp_path / "data.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(BadInput, match=digest):
        fetch([server.file(sha256=None)], tmp_path, progress=False)


def test_a_web_page_is_no_file_unless_its_checksum_says_so(server, tmp_path):
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(BadInput, match=rf"^{server.url}: a web page"):
        fetch([server.file(sha256=None)], tmp_path, progress=False)
    assert not [file for file in tmp_path.iterdir() if not file.name.startswith(".")]
    (path,) = fetch([server.file()], tmp_path, progress=False)
    assert path.read_bytes() == CONTENT


def test_the_same_file_is_fetched_by_one_at_a_time(server, tmp_path):
    server.go_on.clear()
    first = threading.Thread(target=fetch, args=([server.file()], tmp_path), kwargs={"progress": False})
    first.start()
    for _ in range(1000):
        if server.ranges:
            break
        first.join(0.01)
    with pytest.raises(BadInput, match="another process is writing") as caught:
        fetch([server.file()], tmp_path, progress=False)
    assert str(tmp_path / "data.bin") in str(caught.value) and "\n" not in str(caught.value)
    server.go_on.set()
    first.join()
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert server.ranges == [None] and names(tmp_path) == ["data.bin"]


@pytest.mark.parametrize("name", ["../data.bin", "a/b", "", "..", "checksums.json"])
def test_name_that_leaves_the_folder_is_refused(server, tmp_path, name):
    with pytest.raises(BadInput, match="plain file name"):
        fetch([server.file(name=name)], tmp_path, progress=False)


def test_nonsense_url_is_a_plain_message(tmp_path):
    with pytest.raises(BadInput, match="not a URL"):
        fetch([RemoteFile("nonsense", "x.csv")], tmp_path, progress=False)
