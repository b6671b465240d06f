"""The labelling page on this machine's own address, with every answer saved as it is given."""

import json
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from astro_lightning.core.provenance import write_text
from astro_lightning.data.errors import PLACE, BadInput
from astro_lightning.methods.labelling.question import LABELS, PAGE, QUESTION, csv_text, parse_labels, read_labels

LARGEST_BODY_BYTES = 10_000_000


def make_server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of the page in `folder` on 127.0.0.1; call its `serve_forever`.

    Args:
        folder: With `question.json`, see `question.write_question`; answers go to its `labels.csv`.
        port: Of the address; 0 = any that is free.

    Raises:
        BadInput: The folder asks nothing, its labels are not readable, or the port is taken.
    """
    if not (folder / QUESTION).exists():
        raise BadInput(f"{folder} asks nothing: it holds no {QUESTION}")
    read_labels(folder)
    writing = Lock()

    class Handler(BaseHTTPRequestHandler):
        server: ThreadingHTTPServer

        def do_GET(self) -> None:
            if self._foreign():
                return
            if self.path == "/":
                self._answer(200, (folder / PAGE).read_text("utf-8"), "text/html")
            elif self.path == "/labels.json":
                try:
                    self._answer(200, json.dumps(read_labels(folder)), "application/json")
                except BadInput as error:  # somebody wrote into labels.csv meanwhile
                    self._answer(500, str(error))
            else:
                self._answer(404, "no such page")

        def do_POST(self) -> None:
            if self._foreign():
                return
            size = self.headers.get("Content-Length") or "0"
            if self.path != f"/{LABELS}" or not size.isdecimal() or int(size) > LARGEST_BODY_BYTES:
                self._answer(404, "only labels are taken")
                return
            text = self.rfile.read(int(size)).decode("utf-8", "replace")
            try:
                with writing:  # what another tab has answered stays
                    write_text(folder / LABELS, csv_text(read_labels(folder) | parse_labels(text, folder)))
            except BadInput as error:
                self._answer(400, str(error))
                return
            except OSError as error:  # the disk is full: the page must say so, its answer is nowhere yet
                self._answer(500, f"{error}: {PLACE}")
                return
            self._answer(200, "saved")

        def _foreign(self) -> bool:
            """Refuse what a page of another site, or a name that was bent to this address, sends through the browser."""
            host = self.headers.get("Host", "")
            own = {f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")}
            origin = self.headers.get("Origin")
            foreign = host not in own or (origin is not None and origin != f"http://{host}")
            if foreign:
                self._answer(403, "only this machine's own pages are answered")
            return foreign

        def _answer(self, status: int, text: str, kind: str = "text/plain") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            with suppress(ConnectionError):  # a page that was closed waits for no answer
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """The terminal is for the address."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", "ports are 0 to 65535")
        raise BadInput(f"port {port} cannot be used ({reason}): give another one, or none") from error
