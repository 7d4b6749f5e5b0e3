"""Languages of recordings: each has its own aligner, published as a folder beside the codec."""

from __future__ import annotations

from collections.abc import Sequence

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


def check_known(language: str, known: Sequence[str], model: str) -> str:
    """Hand back a language as `check_language` does.

    Args:
        known: languages that a model speaks; none = whatever there is an aligner for.

    Raises:
        InputError: a language without an aligner, or that the model does not speak.
    """
    code = check_language(language)
    if known and code not in known:
        raise InputError(
            f"model {model} speaks {' and '.join(map(repr, known))} only, not {code!r}: leave the language away, or "
            "use a model that speaks it"
        )
    return code
