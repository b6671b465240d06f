"""Imports run one way: what docs/architecture.md says of the house holds in the code."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import astro_lightning

PACKAGE = Path(astro_lightning.__file__).parent
MAY_IMPORT = {
    "data": set(),
    "core": {"data"},
    "methods": {"core", "data"},
    "report": {"core", "data"},
    "predict": {"core", "data", "report"},
    "tasks": {"methods", "core", "data", "report"},
}


def imports() -> dict[str, set[str]]:
    """Module -> modules of the package that it imports, late imports included."""
    files = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in files:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                found[module] |= {name if name in files else node.module for name in inner}
            elif isinstance(node, ast.Import):
                found[module] |= {alias.name for alias in node.names if alias.name in files}
    return found


def test_no_file_imports_in_a_circle():
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_folders_import_only_those_below_them():
    for module, imported in imports().items():
        folder = module.split(".")[1] if module.count(".") else ""
        for name in imported:
            other = name.split(".")[1]
            if folder in MAY_IMPORT and other != folder:
                assert other in MAY_IMPORT[folder], f"{module} imports {name}"


def test_a_task_is_imported_by_its_own_files_alone():
    for module, imported in imports().items():
        own = module.split(".")[:3]
        for name in imported:
            other = name.split(".")[:3]
            assert other[1:2] != ["tasks"] or len(other) < 3 or other == own, f"{module} imports {name}"


def test_parquet_files_are_opened_in_one_place():
    # `tables.parquet_file` keeps them out of memory; PyArrow's own defaults do not
    opened = [path.name for path in PACKAGE.rglob("*.py") if "ParquetFile(" in path.read_text()]
    assert opened == ["tables.py"]
