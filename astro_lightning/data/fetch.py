"""Checksummed, resumable download of public data files."""

import hashlib
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from .alone import alone
from .errors import BadInput
from .whole_file import whole_file

CHECKSUMS = "checksums.json"
CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0
# Connections that break while data flows are taken up again this often before the user is asked to.
MAX_BREAKS = 5


@dataclass(frozen=True)
class RemoteFile:
    """A file somebody publishes.

    Attributes:
        url: where it is.
        name: its name here, without folders.
        sha256: hexadecimal checksum; None where the publisher's is not known.
        size: bytes; None = not known.
    """

    url: str
    name: str
    sha256: str | None = None
    size: int | None = None


def fetch(files: Sequence[RemoteFile], folder: Path, progress: bool = True) -> list[Path]:
    """Download what is not yet there; what was begun is resumed.

    Data grow in `<name>.part`, which gets its final name only once the SHA-256 is right. Where no checksum is known the
    file is accepted, its SHA-256 is kept in the folder's `checksums.json`, and later calls hold it to that.

    Args:
        files: what to fetch.
        folder: where to put it; made if absent.
        progress: show a bar on stderr, and print each SHA-256 that was not known.

    Returns:
        Paths in the order of `files`.

    Raises:
        BadInput: no connection, an HTTP error, a broken transfer, a wrong size or checksum, a name with folders in it, or
            another process fetches the same file.
    """
    for file in files:
        if file.name in ("", ".", "..", CHECKSUMS) or Path(file.name).name != file.name:
            raise BadInput(f"{file.url}: {file.name!r} is not a plain file name; give one without folders")
    folder.mkdir(parents=True, exist_ok=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        return [_fetch_one(file, folder, bar) for file in files]


def _fetch_one(file: RemoteFile, folder: Path, bar: Progress) -> Path:
    path = folder / file.name
    with alone(folder / f".{file.name}.lock", path):
        return _fetch_alone(file, path, bar)


def _fetch_alone(file: RemoteFile, path: Path, bar: Progress) -> Path:
    folder = path.parent
    expected = file.sha256 or _kept_checksums(folder).get(file.name)
    if path.exists():
        _verify(path, file.size, expected, f"{path}: delete it to fetch it again")
    else:
        part = folder / f"{file.name}.part"
        _download(file, part, bar)
        try:
            _verify(
                part, file.size, expected, f"{file.url}: removed what came; try again, or put the right file at {path}"
            )
        except BadInput:
            _discard(part)
            raise
        part.replace(path)
        _discard(part)
    if expected is None:
        digest = _keep_checksum(path)
        if not bar.disable:
            print(f"{digest}  {path.name} (publisher's checksum unknown; kept in {folder / CHECKSUMS})")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _verify(path: Path, size: int | None, sha256: str | None, remedy: str) -> None:
    if size is not None and (found := path.stat().st_size) != size:
        raise BadInput(f"{path.name} has {found} bytes, expected {size}; {remedy}")
    if sha256 is not None and (digest := _sha256(path)) != sha256.lower():
        raise BadInput(f"{path.name} has SHA-256 {digest}, expected {sha256.lower()}; {remedy}")


def _kept_checksums(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    try:
        kept = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise BadInput(f"{path}: not valid JSON ({error}); delete it to have the checksums taken anew") from error
    if not isinstance(kept, dict):
        raise BadInput(f"{path}: not a table of checksums; delete it to have them taken anew")
    return kept


def _keep_checksum(path: Path) -> str:
    digest = _sha256(path)
    kept = _kept_checksums(path.parent) | {path.name: digest}
    with whole_file(path.parent / CHECKSUMS) as temporary:
        temporary.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return digest


def _version_file(part: Path) -> Path:
    """Where the remote file's version (ETag or date) is kept, so that halves of two versions are never joined."""
    return part.with_name(f"{part.name}.version")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _download(file: RemoteFile, part: Path, bar: Progress) -> None:
    by_hand = f"run again to resume, or put the file by hand at {part.with_suffix('')}"
    task = bar.add_task(file.name, total=file.size)
    for attempt in range(MAX_BREAKS + 1):
        before = part.stat().st_size if part.exists() else 0
        try:
            total = _transfer(file, part, bar, task)
            received = part.stat().st_size
            if total is not None and received > total:
                _discard(part)
                raise BadInput(f"{file.url}: {received} bytes came of a file of {total}; removed them, try again")
            if total is None or received == total:
                return
            reason = f"connection closed after {received} of {total} bytes"
        except HTTPError as error:
            raise BadInput(f"{file.url}: HTTP {error.code} {error.reason}; {by_hand}") from error
        except (URLError, ConnectionError, TimeoutError, HTTPException, ssl.SSLError) as error:
            reason = f"no connection ({getattr(error, 'reason', error) or type(error).__name__})"
        except BadInput:
            raise
        except ValueError as error:
            raise BadInput(f"{file.url}: not a URL that can be fetched ({error})") from error
        if attempt == MAX_BREAKS or not part.exists() or part.stat().st_size <= before:
            raise BadInput(f"{file.url}: {reason}; {by_hand}")


def _transfer(file: RemoteFile, part: Path, bar: Progress, task: TaskID) -> int | None:
    """Append to `part` what one connection yields; returns the whole file's size where the server says it."""
    offset = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "astro-lightning"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if _version_file(part).exists():
            headers["If-Range"] = _version_file(part).read_text()
    try:
        response: HTTPResponse = urlopen(Request(file.url, headers=headers), timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code != 416 or not offset:
            raise
        if error.headers.get("Content-Range") == f"bytes */{offset}":
            return offset
        _discard(part)
        return _transfer(file, part, bar, task)
    with response:
        # A login, or a page that tells of maintenance, would be kept as the file and held to its own checksum.
        if file.sha256 is None and response.headers.get_content_type() == "text/html":
            raise BadInput(
                f"{file.url}: a web page came, no file: see in a browser what it says, or give the file's sha256"
            )
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            raise HTTPException("server sent another range than asked for")
        start = offset if resumed else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        if not resumed:
            _discard(part)
            etag = response.headers.get("ETag", "")
            version = etag if etag.startswith('"') else response.headers.get("Last-Modified")
            if version:
                _version_file(part).write_text(version)
        bar.update(task, completed=start, total=total)
        with part.open("ab") as stream:
            while chunk := response.read(CHUNK_BYTES):
                stream.write(chunk)
                bar.advance(task, len(chunk))
    return total
