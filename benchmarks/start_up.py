"""Start-up: import, help, a composed configuration, each in a process of its own.

python -m benchmarks.start_up
"""

from benchmarks.clock import run
from benchmarks.table import Cell, write_table

STARTS = {
    "import astro_lightning": ["-c", "import astro_lightning"],
    "import torch and lightning": ["-c", "import torch, pytorch_lightning"],
    "--help": ["-m", "astro_lightning", "--help"],
    "--cfg job": ["-m", "astro_lightning", "--cfg", "job"],
}


def main() -> None:
    """Measure and write the table."""
    rows: list[list[Cell]] = []
    for name, words in STARTS.items():
        taken = min((run(words) for _ in range(3)), key=lambda p: p.cpu_s)
        rows.append([name, taken.cpu_s, taken.wall_s, taken.peak_gib])
    write_table(
        "start_up",
        "Start-up",
        ["what", "processor seconds", "seconds", "peak memory, GiB"],
        rows,
        "A process of its own each, the best of three; the wall clock includes whatever else the machine did.",
        "python -m benchmarks.start_up",
    )


if __name__ == "__main__":
    main()
