"""A synthetic twin of the PLAsTiCC survey: light-curve records without a download."""

from .survey import simulate

__all__ = ["simulate"]
