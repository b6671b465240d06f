"""How long `make test` takes and which tests are the slowest, from the file that pytest leaves.

make test && python -m benchmarks.test_duration
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.table import write_table

JUNIT = Path(__file__).parents[1] / "outputs" / "tests.xml"
SLOWEST = 10


def main(path: Path) -> None:
    """Write the table."""
    suites = list(ET.parse(path).getroot().iter("testsuite"))
    found = (case for suite in suites for case in suite.iter("testcase"))
    cases = [(float(case.get("time", 0)), f"{case.get('classname', '')}::{case.get('name', '')}") for case in found]
    count = sum(int(suite.get("tests", 0)) for suite in suites)
    wall = sum(float(suite.get("time", 0)) for suite in suites)
    rows = [[f"all {count} tests, two at a time, wall clock", wall]]
    rows.append(["all of them, one after the other", sum(seconds for seconds, _ in cases)])
    rows += [[name, seconds] for seconds, name in sorted(cases, reverse=True)[:SLOWEST]]
    write_table(
        "test_duration", "Duration of the tests", ["what", "seconds"], rows, f"`make test` and its {SLOWEST} slowest tests.",
        "make test && python -m benchmarks.test_duration",
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else JUNIT)
