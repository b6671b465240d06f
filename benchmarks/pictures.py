"""Pictures of the tutorials from real runs: small copies of some of a run's plots in docs/images.

python -m benchmarks.pictures TASK RUN_FOLDER [PLOT ...]     # without PLOT: those that the tutorial shows
"""

import re
import sys
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
WIDTH_PX, COLOURS = 900, 64


def main(task: str, run: Path, plots: list[str]) -> None:
    """Write `docs/images/<task>-<plot>.png` for each plot."""
    if not plots:
        page = (DOCS / "tutorials" / f"{task}.md").read_text()
        plots = re.findall(rf"\]\(\.\./images/{task}-(\w+)\.png\)", page)
    for plot in plots:
        picture = Image.open(run / "plots" / f"{plot}.png").convert("RGB")
        if picture.width > WIDTH_PX:
            picture = picture.resize(
                (WIDTH_PX, round(picture.height * WIDTH_PX / picture.width)), Image.Resampling.LANCZOS
            )
        out = DOCS / "images" / f"{task}-{plot}.png"
        picture.quantize(COLOURS).save(out, optimize=True)
        print(f"{out}: {out.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
