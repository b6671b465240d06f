"""A measured table as a file, `benchmarks/results/<topic>.json`: the one form that every script here writes.

    {
      "title": "Speed of reading light curves",       # a heading
      "note": "One sentence: what was measured, on what, by which protocol.",
      "command": "python benchmarks/light_curve_reading.py",  # reproduces the file
      "seeds": [0, 1],                                # [] where nothing random is in it
      "made": "2026-11-29",
      "machine": "x86_64, 2 cores, 23.5 GiB",         # filled in, as are the versions
      "versions": {"python": "3.11.7", "torch": "2.13.0"},
      "columns": ["form", "rows a second"],
      "rows": [["CSV", 1205430], ["Parquet", null]]   # null: not measured
    }

The first column names the row: `benchmarks/published.yaml` points at a cell by (topic, row, column). Cells are text, numbers
or null; numbers are kept as measured and rounded where they are shown. `python -m benchmarks.results` puts every such file into
`docs/results.md`.

    from benchmarks.table import write_table          # python -m benchmarks.my_script
    write_table("my_topic", "Title", ["what", "value"], rows, note="...", command="python -m benchmarks.my_script", seeds=[0])
"""

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("astro-lightning", "torch", "numpy", "xgboost", "scikit-learn", "pyarrow")
NOT_MEASURED = "not measured"
Cell = str | int | float | None


def write_table(
    topic: str,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    note: str = "",
    command: str | None = None,
    seeds: Sequence[int] = (),
) -> Path:
    """Write `benchmarks/results/<topic>.json`, whole or not at all, and print it.

    Args:
        topic: Name of the file.
        title: Heading of the table.
        columns: Names of the columns, the first is the row's name.
        rows: As many cells as columns each; None = not measured.
        note: What was measured, on what and how, in a sentence or two.
        command: What reproduces it; None = this script as it was called.
        seeds: Those that the numbers rest on.

    Raises:
        ValueError: A row has another number of cells, or two rows have one name.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"{topic}: row {row[0]!r} has {len(row)} cells for {len(columns)} columns")
    if len({row[0] for row in rows}) != len(rows):
        raise ValueError(f"{topic}: two rows have the same name in column {columns[0]!r}")
    content: dict[str, Any] = {
        "title": title,
        "note": note,
        "command": command or " ".join(["python", *map(_inside, sys.argv)]),
        "seeds": list(seeds),
        "made": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions(),
        "columns": list(columns),
        "rows": [[_plain(cell) for cell in row] for row in rows],
    }
    print(f"{title}\n\n{markdown(content['columns'], [[number(cell) for cell in row] for row in content['rows']])}")
    return write(RESULTS / f"{topic}.json", content)


def write(path: Path, content: dict[str, Any]) -> Path:
    """Write JSON under a temporary name, then rename; a list of plain values stands on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".json.part")
    part.write_text(_text(content) + "\n")
    part.replace(path)
    return path


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; a bar inside a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return (
        "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
    )


def number(value: Any) -> str:
    """Four digits where they say something; None is not measured."""
    if value is None:
        return NOT_MEASURED
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, int) or abs(value) >= 10_000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def machine() -> str:
    """The machine in words: processor, cores, memory, accelerators."""
    import psutil
    import torch

    words = [platform.machine(), f"{os.cpu_count()} cores", f"{psutil.virtual_memory().total / 2**30:.1f} GiB"]
    return ", ".join([*words, *(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))])


def versions() -> dict[str, str]:
    """Python and the packages that decide speed and numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _inside(word: str) -> str:
    """A path of this repository without the folders above it."""
    root = f"{RESULTS.parents[1]}/"
    return word.removeprefix(root)


def _plain(cell: Any) -> Cell:
    value = cell.item() if hasattr(cell, "item") else cell
    if isinstance(value, float):
        return float(f"{value:.6g}") if value == value and abs(value) != float("inf") else None
    return value


def _text(value: Any, indent: int = 0) -> str:
    pad, inner = "  " * indent, "  " * (indent + 1)
    if isinstance(value, dict) and value:
        lines = (f"{inner}{json.dumps(str(k))}: {_text(v, indent + 1)}" for k, v in value.items())
        return "{\n" + ",\n".join(lines) + f"\n{pad}}}"
    if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        return "[\n" + ",\n".join(inner + _text(item, indent + 1) for item in value) + f"\n{pad}]"
    return json.dumps(value, ensure_ascii=False)
