"""Hook of mkdocs: the tasks' cards and the list of changes, which live elsewhere in the repository, become pages of the site."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Page of the site -> file of the repository.
PAGES = {
    f"cards/{card.parent.name}.md": card for card in sorted((ROOT / "astro_lightning" / "tasks").glob("*/README.md"))
}
PAGES["changes.md"] = ROOT / "CHANGELOG.md"
IMAGE = re.compile(r'<img [^>]*?src="([^"]+)"[^>]*>')
CELL = re.compile(r"<td.*?</td>", re.S)
CODE = re.compile(r"<code>([^<]*)</code>")
BETWEEN = re.compile(r"(?<=[./_=])(?=\w)")
LINK = re.compile(r"\[([^\]]*)\]\(([^)#:]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    for name, file in PAGES.items():
        files.append(File.generated(config, name, content=linked(file.read_text(), file, name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that leave docs/ lead to the pages that were added."""
    name = page.file.src_uri
    return markdown if name in PAGES else linked(markdown, ROOT / "docs" / name, name)


def on_page_content(html: str, **_: Any) -> str:
    """For narrow screens: a picture opens at full size, and long names in tables break between their words."""

    def broken(cell: re.Match[str]) -> str:
        return CODE.sub(lambda code: f"<code>{BETWEEN.sub('<wbr>', code[1])}</code>", cell[0])

    return CELL.sub(broken, IMAGE.sub(r'<a href="\1">\g<0></a>', html))


def linked(text: str, file: Path, name: str) -> str:
    """Links between files of the repository as links between pages of the site; a file that is no page keeps its name alone."""
    page_of = {path.resolve(): page for page, path in PAGES.items()}

    def moved(found: re.Match[str]) -> str:
        target = (file.parent / found[2]).resolve()
        page = page_of.get(target)
        if page is None and target.is_relative_to(ROOT / "docs"):
            page = target.relative_to(ROOT / "docs").as_posix()
        if page is None and target.is_relative_to(ROOT / "benchmarks" / "results"):
            page = "results.md"
        if page is None:
            return found[1] if target.exists() else found[0]
        return f"[{found[1]}]({posixpath.relpath(page, posixpath.dirname(name) or '.')}{found[3] or ''})"

    return LINK.sub(moved, text)
