"""The plain normaliser: numbers, dates, money, units, addresses and abbreviations in words."""

from unisono.text.plain.engine import normalize_plain

__all__ = ["normalize_plain"]
