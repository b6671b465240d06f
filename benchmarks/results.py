"""`docs/results.md` from `published.yaml` and the files in `benchmarks/results`: nothing of it is typed by hand.

python -m benchmarks.results            # writes the page
python -m benchmarks.results --check    # says whether it is up to date
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from astro_lightning.core.provenance import write_text
from astro_lightning.methods.conformal.evaluate import proportion
from benchmarks.table import NOT_MEASURED, markdown, number

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "results.md"
HEAD = """\
# Results

Made by `python -m benchmarks.results` from `benchmarks/published.yaml` and the files in `benchmarks/results`, of which each is
written by `python -m benchmarks.record` from run folders, or by the script that its command names. In brackets 95% intervals: over
seeds (Student's t) where there are several, and over the test objects (bootstrap, first seed, left out where it does not hold
the mean over seeds; what belongs together is drawn together: survey fields, spectra of one object, siblings of one
transient; of a share, Clopper and Pearson's); ± is what the words behind it say. A number that reached its target is set in
bold, one that missed it in italics. In the small tables – is what was not measured, or cannot be.
"""


def main(words: Sequence[str]) -> None:
    """Write the page, or compare it."""
    text = page(HERE / "results", yaml.safe_load((HERE / "published.yaml").read_text()))
    if "--check" in words:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit(f"{PAGE.relative_to(HERE.parent)} is not what the files give: python -m benchmarks.results")
        return
    write_text(PAGE, text)
    print(PAGE.relative_to(HERE.parent))


def page(results: Path, sections: list[dict[str, Any]]) -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for section in sections:
        header = ["", "published", "best known baseline", "target", "ours", "seeds", "protocol"]
        rows = [row_of(row, results) for row in section["rows"]]
        parts += [f"## {section['section']}\n", markdown(header, rows), commands(section["rows"], results)]
    tables = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    if tables:
        parts.append("## Tables\n")
        parts += [small_table(name, table) for name, table in tables.items()]
    return "\n".join(part for part in parts if part)


def row_of(row: dict[str, Any], results: Path) -> list[str]:
    """One line of a section."""
    ours, seeds = measured(row, results)
    aim = row.get("target")
    target = "" if aim is None else ("≤ " if row.get("at_most") else "≥ ") + number(aim)
    return [row["what"], claim(row.get("published")), claim(row.get("known")), target, ours, seeds, row["protocol"]]


def measured(row: dict[str, Any], results: Path) -> tuple[str, str]:
    """Our number with its intervals, and the seeds behind it."""
    if "run" in row:
        path = results / "quality" / f"{row['run']}.json"
        if not path.exists():
            return NOT_MEASURED, ""
        run = json.loads(path.read_text())
        found = run["metrics"].get(row["metric"])
        if found is None:
            raise KeyError(f"published.yaml, {row['name']}: {path.name} has no {row['metric']}")
        if "count" in row:
            n = int(run["metrics"][row["count"]]["values"][0])
            exact = proportion(round(found["values"][0] * n), n)
            found = {"over_objects": [exact["low"], exact["high"]], **found}
        kinds = {"over_seeds": "seeds", "over_objects": "objects"}
        bounds = {kind: found[kind] for kind in kinds if kind in found}
        held = {
            kind: (low, high) for kind, (low, high) in bounds.items() if low <= found["mean"] <= high and low < high
        }
        words = [span(low, high, kinds[kind]) for kind, (low, high) in held.items()]
        if "spread" in row:
            words.insert(0, f"± {number(run['metrics'][row['spread']]['mean'])} over folds")
        return " ".join([marked(row, found["mean"]), *words]), str(len(run["seeds"]))
    topic, line, column = row["cell"]
    path = results / f"{topic}.json"
    if not path.exists():
        return NOT_MEASURED, ""
    table = json.loads(path.read_text())
    value = cell(row, table, line, column)
    words = [NOT_MEASURED if value is None else marked(row, value)]
    if "interval" in row:
        low, high, of = row["interval"]
        words.append(span(cell(row, table, *low), cell(row, table, *high), of))
    if "spread" in row:
        *place, of = row["spread"]
        words.append(f"± {number(cell(row, table, *place))} {of}")
    return " ".join(words), str(len(table["seeds"]) or "")


def cell(row: dict[str, Any], table: dict[str, Any], line: str, column: str) -> Any:
    """The cell of a topic's table that a row names."""
    lines = [r for r in table["rows"] if r[0] == line]
    if not lines or column not in table["columns"]:
        raise KeyError(
            f"published.yaml, {row['name']}: {row['cell'][0]}.json has no row {line!r} with a column {column!r}"
        )
    return lines[0][table["columns"].index(column)]


def span(low: float, high: float, of: str) -> str:
    """An interval, and what it is taken over."""
    return f"[{number(low)}, {number(high)}] {of}"


def marked(row: dict[str, Any], value: float) -> str:
    """The number, bold where it reaches its target and in italics where it does not."""
    aim = row.get("target")
    if aim is None:
        return number(value)
    reached = value <= aim if row.get("at_most") else value >= aim
    return f"**{number(value)}**" if reached else f"*{number(value)}*"


def claim(pair: Sequence[Any] | None) -> str:
    """A number of somebody else, with its source."""
    return "" if not pair else f"{number(pair[0])} ({pair[1]})"


def commands(rows: Sequence[dict[str, Any]], results: Path) -> str:
    """What reproduces the numbers of a section: one line a file."""
    lines = []
    for name in dict.fromkeys(row["run"] for row in rows if "run" in row):
        path = results / "quality" / f"{name}.json"
        if path.exists():
            run = json.loads(path.read_text())
            # A run that was stopped and resumed does not know how long it took.
            known = None not in run["seconds"]
            taken = f"{sum(run['seconds']) / 60:.0f} min in all; " if known else ""
            packages = ", ".join(f"{package} {version}" for package, version in run["versions"].items())
            lines.append(
                f"- {name}: `{run['command']}` ({run['machine']}; {packages}; {taken}data `{run['fingerprint'][:12]}`)"
            )
    return "\nReproduced by\n\n" + "\n".join(lines) + "\n" if lines else ""


def small_table(name: str, table: dict[str, Any]) -> str:
    """A topic's own table."""
    about = [
        table["machine"],
        *(f"{package} {v}" for package, v in table["versions"].items() if package in ("python", "torch")),
    ]
    if table["seeds"]:
        about.append(f"seeds {', '.join(map(str, table['seeds']))}")
    rows = [["–" if cell is None else number(cell) for cell in row] for row in table["rows"]]
    note = f"{table['note']}\n\n" if table["note"] else ""
    return f"### {table['title']}\n\n{note}`{table['command']}` ({'; '.join(about)}; {table['made']})\n\n" + markdown(
        table["columns"], rows
    )


if __name__ == "__main__":
    main(sys.argv[1:])
