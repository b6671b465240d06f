"""Stars in several bands, each band a curve of its own: `<star>_<band>`, of which `group` is the star."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from astro_lightning.data.errors import BadInput
from astro_lightning.data.survey import Survey


class BandedStars(Survey[Path]):
    """What such surveys share.

    Args:
        bands: Those that are read; None = all.
        **arguments: Of `Survey`.

    Raises:
        BadInput: A band that the survey does not have, or none.
    """

    all_bands: ClassVar[str]

    def __init__(self, *, bands: Sequence[str] | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.bands = list(self.all_bands if bands is None else bands)
        if not self.bands or not set(self.bands) <= set(self.all_bands):
            raise BadInput(f"data.reader.bands={self.bands}: give some of {', '.join(self.all_bands)}")
