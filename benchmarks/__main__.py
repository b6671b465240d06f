"""How fast: every speed script in a process of its own, one page in benchmarks/results/speed.md.

python -m benchmarks
"""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
SURVEYS = os.environ.get("ASTRO_LIGHTNING_DATA")
# Script -> the part of the real data that it also takes; left out where the data are absent.
SCRIPTS = {
    "plasticc_simulate.py": None,
    "light_curve_reading.py": None,
    "plasticc_training.py": None,
    "spectra_speed.py": None,
    "scope_speed.py": "scope/css_periodic_variables.parquet",
    "rb_speed.py": "realbogus/avro/ztf_kowalski",
}


def main() -> None:
    """Run the scripts and write the page."""
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {version('torch')}"
    )
    page = [f"# Speed\n\n{machine}. Made by `make bench`.\n"]
    for script, data in SCRIPTS.items():
        if data and not (SURVEYS and (Path(SURVEYS) / data).exists()):
            page.append(f"## {script}\n\nLeft out: needs {data} below ASTRO_LIGHTNING_DATA.\n")
            continue
        words = [sys.executable, str(HERE / script), *([str(Path(SURVEYS) / data)] if data and SURVEYS else [])]
        finished = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        said = (
            finished.stdout.strip()
            if finished.returncode == 0
            else f"failed: {finished.stderr.strip().splitlines()[-1]}"
        )
        print(f"{script}\n{said}\n", flush=True)
        page.append(f"## {script}\n\n```\n{said}\n```\n")
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "speed.md").write_text("\n".join(page))
    print(f"written: {HERE / 'results' / 'speed.md'}")


if __name__ == "__main__":
    main()
