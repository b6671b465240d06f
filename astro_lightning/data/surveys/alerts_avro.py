"""Alert packets in AVRO with three gzipped FITS cutouts each: ZTF, Palomar Gattini, WINTER, DECam, Rubin."""

import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cramjam
import fastavro
import numpy as np
from fastavro.schema import load_schema

from astro_lightning.data.errors import BadInput
from astro_lightning.data.survey import visible
from astro_lightning.data.surveys.fits import GZIP_MAGIC, read_image

log = logging.getLogger(__name__)
CUTOUTS = (
    ("cutoutScience", "cutoutTemplate", "cutoutDifference"),
    ("cutout_science", "cutout_template", "cutout_difference"),
)
CONFLUENT_MAGIC = b"\x00"
CONFLUENT_HEADER_BYTES = 5


@dataclass(frozen=True)
class Packet:
    """One alert.

    Attributes:
        id: `candid` or `diaSourceId`.
        object_id: `objectId`, or `id` where the survey has none.
        cutouts: Science, template and difference, each (height, width), NaN kept.
        mjd: Time of the exposure as the survey gives it (Rubin's of its middle, in TAI), NaN where not given.
    """

    id: int
    object_id: str
    cutouts: tuple[np.ndarray, np.ndarray, np.ndarray]
    mjd: float


def packet_files(path: Path) -> list[Path]:
    """Files of packets below a folder, by name; the file itself where `path` is one."""
    return [file for file in visible(path, "**/*") if file == path or file.name.lower().endswith((".avro", ".avro.gz"))]


def read_packets(path: Path, schema: Path | None = None, skipped: list[str] | None = None) -> Iterator[Packet]:
    """Alerts of a file or of all `*.avro` files (gzipped or not) below a folder, in the order of their names.

    A packet that cannot be read is left out, named in the log and appended to `skipped`; it never ends the night.

    Args:
        path: A file (one packet or many, any codec, or one Confluent message) or a folder.
        schema: `.avsc` file of Confluent messages, which do not carry their own; or a folder of Rubin's files of all versions
            (github.com/lsst/alert_packet), of which each message's own is taken.
        skipped: Filled with `name: reason`.

    Raises:
        BadInput: There is no AVRO file, or not one packet could be read.
    """
    files = packet_files(path)
    if not any(file.is_file() for file in files):
        raise BadInput(f"{path} holds no .avro file: give a packet, a container file or a folder of them")
    skipped = [] if skipped is None else skipped
    before, count = len(skipped), 0
    for file in files:
        try:
            for number, content in enumerate(_decode(file.read_bytes(), _from_file(schema))):
                try:
                    packet = _packet(content)
                except Exception as error:  # nor do those behind it in its file go with it
                    skipped.append(f"{file.name}[{number}]: {error}")
                    continue
                count += 1
                yield packet
        # A damaged block can make the decoder raise nearly anything, MemoryError for an absurd length included.
        except (Exception, MemoryError) as error:
            skipped.append(f"{file.name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    bad = skipped[before:]
    if bad:
        log.warning("%d of %d packets skipped: %s", len(bad), len(bad) + count, "; ".join(bad[:5]))
    if not count:
        raise BadInput(f"{path}: no packet could be read ({bad[0] if bad else 'all files are empty'})")


def read_message(raw: bytes, schema_of: Callable[[int], Any]) -> list[Packet]:
    """Alerts of one message of a stream.

    Args:
        raw: A small AVRO container (ZTF), or a Confluent message (Rubin).
        schema_of: Gives the schema of a Confluent message's number.

    Raises:
        ValueError: It is neither, or lacks a cutout; a damaged one may raise anything.
    """
    return [_packet(content) for content in _decode(raw, schema_of)]


def _from_file(schema: Path | None) -> Callable[[int], Any]:
    def schema_of(number: int) -> Any:
        if schema is None:
            raise BadInput(
                f"a Confluent message of schema {number}, which it does not hold: add data=ztf_stamps data.reader.schema=FILE.avsc"
            )
        return _load_schema(schema, number)

    return schema_of


def _decode(raw: bytes, schema_of: Callable[[int], Any]) -> Iterator[dict[str, Any]]:
    raw = bytes(cramjam.gzip.decompress(raw)) if raw[:2] == GZIP_MAGIC else raw
    if raw[:4] == b"Obj\x01":
        yield from fastavro.reader(io.BytesIO(raw))  # type: ignore[misc]
    elif raw[:1] == CONFLUENT_MAGIC and len(raw) > CONFLUENT_HEADER_BYTES:
        schema = schema_of(int.from_bytes(raw[1:CONFLUENT_HEADER_BYTES], "big"))
        yield fastavro.schemaless_reader(io.BytesIO(raw[CONFLUENT_HEADER_BYTES:]), schema, None)  # type: ignore[misc]
    else:
        raise BadInput("neither an AVRO container nor a Confluent message")


@lru_cache
def _load_schema(path: Path, number: int) -> Any:
    if path.is_dir():
        # Rubin numbers its schemas 100 major + minor.
        name = f"lsst.v{number // 100}_{number % 100}.alert.avsc"
        found = next(path.rglob(name), None)
        if found is None:
            raise BadInput(f"a Confluent message of schema {number}, and no {name} in {path}")
        path = found
    return load_schema(str(path))


def _packet(content: dict[str, Any]) -> Packet:
    names = next((names for names in CUTOUTS if names[0] in content), None)
    if names is None:
        raise BadInput("the packet has no cutouts")
    cutouts = []
    for name in names:
        value = content[name]
        data = value["stampData"] if isinstance(value, dict) else value
        if not data:
            raise BadInput(f"{name} is empty")
        plain = cramjam.gzip.decompress(data) if data[:2] == GZIP_MAGIC else data
        cutouts.append(read_image(bytes(plain))[0])
    candidate = content.get("candidate") or content.get("diaSource") or {}
    identifier = (
        content.get("candid") or candidate.get("candid") or content.get("diaSourceId") or candidate.get("diaSourceId")
    )
    if identifier is None:
        raise BadInput("the packet has neither candid nor diaSourceId")
    name = content.get("objectId") or content.get("objectid") or candidate.get("diaObjectId") or identifier
    mjd = candidate.get("midpointMjdTai") or candidate.get("mjd")
    mjd = mjd or (candidate["jd"] - 2400000.5 if candidate.get("jd") else np.nan)
    number = int(np.int64(int(identifier)))  # one that no column holds would end the night
    return Packet(number, str(name), (cutouts[0], cutouts[1], cutouts[2]), float(mjd))
