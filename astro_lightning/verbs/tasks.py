"""List the tasks, installed plug-ins included."""

from astro_lightning.core.conf import about, configs


def main(words: list[str]) -> None:
    """List the tasks, installed plug-ins included."""
    for name, (comment, file) in configs("task").items():
        print(f"{name:<20} {about(comment)}\n{'':<20} {file}")
