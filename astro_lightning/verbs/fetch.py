"""Download published data."""

from pathlib import Path

from astro_lightning.core.conf import cache_folder, data_block
from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """Download published data: astro-lightning fetch NAME [FOLDER]."""
    from astro_lightning.data.fetch import RemoteFile
    from astro_lightning.data.fetch import fetch as download
    from astro_lightning.data.locate import fetched

    if not 1 <= len(words) <= 2:
        raise BadInput("fetch takes the name of a data set (see astro-lightning datasets) and, if you like, a folder")
    data = data_block(words[0])
    if not data.get("files"):
        raise BadInput(
            f"{words[0]} has no published download: {data.get('source') or 'set data.root to your own copy'}"
        )
    folder = Path(words[1]).expanduser() if len(words) > 1 else fetched(data, cache_folder())
    files = [RemoteFile(**file) for file in data["files"]]
    for path in download(files, folder):
        print(path)
