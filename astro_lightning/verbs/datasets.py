"""List the data sets, with where their data come from and whether they are here."""

from astro_lightning.core.conf import about, cache_folder, configs, data_block
from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """List the data sets, with where their data come from and whether they are here."""
    for name, (comment, _) in configs("data").items():
        print(f"{name:<20} {about(comment)}\n{'':<20} {_where(name)}")


def _where(name: str) -> str:
    from astro_lightning.data.locate import locate

    data = data_block(name)
    if data["name"] == "simulated":
        return "made on the spot"
    try:
        return f"here: {locate(data, cache_folder())}"
    except BadInput:
        source = data.get("source") or "your own files"
        return f"not here; {source}" + (f"; astro-lightning fetch {name}" if data.get("files") else "")
