"""A tree of tags: parents, tags that exclude each other, and the tags that a survey's own types stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import yaml

from astro_lightning.core.conf import configs
from astro_lightning.data.errors import BadInput

MARGIN = 0.1  # tolerated excess of a child


@dataclass(frozen=True)
class Conflict:
    """Objects whose probabilities contradict the tree.

    Attributes:
        kind: `child above parent` or `exclusive tags`.
        tags: The child and its parent, or the two tags that exclude each other.
        rows: Positions of the objects, shape (n,).
    """

    kind: str
    tags: tuple[str, str]
    rows: np.ndarray


@cache
def tags_of_conf() -> frozenset[str]:
    """The tags of all files of `conf/taxonomy`, those of plug-ins included."""
    files = [file for _, file in configs("taxonomy").values()]
    return frozenset(tag for file in files for tag in yaml.safe_load(file.read_text())["tags"])


@dataclass(frozen=True)
class Taxonomy:
    """Tags and their relations.

    Attributes:
        name: Of the taxonomy.
        labels: Tag -> name in words.
        parents: Tag -> parent tag, None at the top; parents come before their children.
        exclusive: Sets of tags of which at most one holds.
        types: A survey's own type -> its tags.
    """

    name: str
    labels: Mapping[str, str]
    parents: Mapping[str, str | None]
    exclusive: Sequence[Sequence[str]] = ()
    types: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def from_config(cls, block: Mapping[str, Any]) -> Taxonomy:
        """Build from a plain mapping with `name`, `tags`, `exclusive` and `types`.

        Raises:
            BadInput: A parent, an exclusive tag or the tag of a type is unknown; a parent stands after its child.
        """
        tags: Mapping[str, Any] = block["tags"]
        seen: set[str] = set()
        for tag, entry in tags.items():
            parent = entry.get("parent")
            if parent is not None and parent not in seen:
                raise BadInput(f"taxonomy.tags.{tag}: parent {parent!r} must be a tag listed before it")
            seen.add(tag)
        used = {tag for group in block.get("exclusive") or () for tag in group}
        used |= {tag for tags_of in (block.get("types") or {}).values() for tag in tags_of}
        if used - seen:
            raise BadInput(
                f"taxonomy {block['name']}: {sorted(used - seen)[0]!r} is no tag; these are: {', '.join(tags)}"
            )
        return cls(
            str(block["name"]),
            {tag: entry["label"] for tag, entry in tags.items()},
            {tag: entry.get("parent") for tag, entry in tags.items()},
            [list(group) for group in block.get("exclusive") or ()],
            {name: list(tags_of) for name, tags_of in (block.get("types") or {}).items()},
        )

    @property
    def tags(self) -> list[str]:
        """All tags, parents before children."""
        return list(self.parents)

    @property
    def decided(self) -> list[str]:
        """The tags that the types decide, their ancestors included, parents before children."""
        held = {t for tags in self.types.values() for tag in tags for t in (tag, *self.ancestors(tag))}
        return [tag for tag in self.tags if tag in held]

    def ancestors(self, tag: str) -> list[str]:
        """Parent, grandparent, ... of a tag."""
        found, parent = [], self.parents[tag]
        while parent is not None:
            found.append(parent)
            parent = self.parents[parent]
        return found

    def targets(self, types: Iterable[str | None], tags: Sequence[str]) -> np.ndarray:
        """1 where a tag holds for an object's type, NaN where the taxonomy does not map it; shape (objects, tags), float32."""
        rows: dict[str | None, list[float]] = {
            name: [float(any(t == tag or tag in self.ancestors(t) for t in held)) for tag in tags]
            for name, held in self.types.items()
        }
        nothing = [np.nan] * len(tags)
        return np.array([rows.get(name, nothing) for name in types], dtype=np.float32)

    def conflicts(self, probability: Mapping[str, np.ndarray], threshold: float = 0.5) -> list[Conflict]:
        """Objects with a child more probable than its parent by MARGIN, or two exclusive tags above `threshold`.

        Args:
            probability: Tag -> probabilities, each of shape (objects,); tags that are absent are not checked.
            threshold: Above it a tag counts as on.
        """
        found = []
        for tag, parent in self.parents.items():
            if parent is not None and {parent, tag} <= probability.keys():
                rows = np.flatnonzero(probability[tag] > probability[parent] + MARGIN)
                found.append(Conflict("child above parent", (tag, parent), rows))
        for group in self.exclusive:
            present = [tag for tag in group if tag in probability]
            for i, first in enumerate(present):
                for second in present[i + 1 :]:
                    rows = np.flatnonzero((probability[first] > threshold) & (probability[second] > threshold))
                    found.append(Conflict("exclusive tags", (first, second), rows))
        return [conflict for conflict in found if len(conflict.rows)]

    def corrected(self, probability: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Probabilities with every parent raised to its most probable child, which entails it."""
        raised = {tag: np.array(values, dtype=np.float64) for tag, values in probability.items()}
        for tag in reversed(self.tags):
            parent = self.parents[tag]
            if tag in raised and parent in raised:
                raised[parent] = np.maximum(raised[parent], raised[tag])
        return raised
