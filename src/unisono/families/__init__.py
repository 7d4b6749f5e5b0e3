"""What differs between the published systems, and only that; one folder each, found by name."""

from unisono.families.registry import FAMILIES, get_family, guess_family

__all__ = ["FAMILIES", "get_family", "guess_family"]
