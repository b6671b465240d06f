import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real survey data; tests that need it are skipped where it is absent."""
    root = Path(os.environ.get("ASTRO_LIGHTNING_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"real survey data not found in {root}: set ASTRO_LIGHTNING_DATA")
    return root


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All command-line tests of a worker share one cache of synthetic twins."""
    os.environ.setdefault("TEST_CACHE", str(tmp_path_factory.getbasetemp().parent / "cache"))
