"""The site builds without a warning and fetches nothing."""

import logging
import re

from mkdocs.commands.build import build
from mkdocs.config import load_config

from benchmarks import results


def test_the_site_builds_strictly_and_fetches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    root = results.HERE.parent
    monkeypatch.chdir(root)
    logging.getLogger("mkdocs").setLevel(logging.WARNING)
    build(load_config(str(root / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))  # raises Abort at a warning
    text = (tmp_path / "tutorials" / "scope.html").read_text()
    assert "../cards/scope.html" in text and "../images/scope-periods.png" in text
    for page in tmp_path.rglob("*.html"):
        assert not re.search(r'<(?:script|link|img)[^>]+(?:src|href)="https?:', page.read_text()), page
