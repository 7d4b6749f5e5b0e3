"""Languages of recordings: each has its own aligner, published as a folder beside the codec."""

from __future__ import annotations

from unisono.errors import InputError

# Language of a text -> folder of its aligner (spec/tada.md section 5.2); Chinese is published as "ch".
ALIGNERS = {
    "en": "aligner",
    "ar": "aligner-ar",
    "zh": "aligner-ch",
    **{code: f"aligner-{code}" for code in ("de", "es", "fr", "it", "ja", "pl", "pt")},
}
_ALIASES = {"ch": "zh", "cn": "zh", "jp": "ja"}


def check_language(language: str) -> str:
    """ "fr-CA" -> "fr", "ch" -> "zh". Raises InputError for a language without an aligner."""
    code = str(language).strip().lower().replace("_", "-").split("-")[0]
    code = _ALIASES.get(code, code)
    if code not in ALIGNERS:
        raise InputError(f"language {str(language)[:30]!r} is unknown: choose one of {', '.join(ALIGNERS)}")
    return code
