"""What was said against what was heard: error counts, and where and how the two run apart.

Axes: R words of the text, H words heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from unisono.evaluate.hearing import clean


class Counts(NamedTuple):
    """Edit operations and the length of the reference, in words or in characters; they add up over sentences."""

    errors: int
    length: int


class Stretch(NamedTuple):
    """A whole stretch of agreement or disagreement: words [start, stop) of the text and of what was heard."""

    equal: bool
    start: int
    stop: int
    heard_start: int
    heard_stop: int


@dataclass(frozen=True)
class Divergence:
    """How what was heard differs, in words.

    Attributes:
        skipped: words of the text for which nothing was heard, those at the very end not included.
        truncated: the same at the very end.
        inserted: words heard for which the text has nothing, repetitions included.
        repeated: those of them that repeat the words just before or after them.
        skipped_run, inserted_run: the most in one place.
        longest_run: the longest stretch without a word that is right.
    """

    skipped: int
    truncated: int
    inserted: int
    repeated: int
    skipped_run: int
    inserted_run: int
    longest_run: int


def word_counts(text: str, heard: str) -> Counts:
    """Word errors of cleaned texts; `text` has at least one word."""
    from jiwer import process_words

    found = process_words(text, heard)
    return Counts(found.substitutions + found.deletions + found.insertions, len(text.split()))


def character_counts(text: str, heard: str) -> Counts:
    """Character errors of cleaned texts, spaces counted."""
    from jiwer import process_characters

    found = process_characters(text, heard)
    return Counts(found.substitutions + found.deletions + found.insertions, len(text))


def stretches(text: str, heard: str) -> list[Stretch]:
    """Stretches of agreement and disagreement of cleaned texts, in order."""
    from jiwer import process_words

    found: list[Stretch] = []
    for chunk in process_words(text, heard).alignments[0]:
        equal = chunk.type == "equal"
        if found and not equal and not found[-1].equal:
            found[-1] = found[-1]._replace(stop=chunk.ref_end_idx, heard_stop=chunk.hyp_end_idx)
        else:
            indices = (chunk.ref_start_idx, chunk.ref_end_idx, chunk.hyp_start_idx, chunk.hyp_end_idx)
            found.append(Stretch(equal, *indices))
    return found


def diverge(text: str, heard: str) -> Divergence:
    """Skipped, truncated, inserted and repeated words of cleaned texts, and the longest divergent run."""
    said, understood = text.split(), heard.split()
    apart = [stretch for stretch in stretches(text, heard) if not stretch.equal]
    lacking = [(s, max((s.stop - s.start) - (s.heard_stop - s.heard_start), 0)) for s in apart]
    extra = [(s, max((s.heard_stop - s.heard_start) - (s.stop - s.start), 0)) for s in apart]
    skipped = [count for stretch, count in lacking if stretch.stop < len(said)]
    return Divergence(
        skipped=sum(skipped),
        truncated=sum(count for stretch, count in lacking if stretch.stop == len(said)),
        inserted=sum(count for _, count in extra),
        repeated=sum(_repeated(understood, stretch, count) for stretch, count in extra),
        skipped_run=max(skipped, default=0),
        inserted_run=max((count for _, count in extra), default=0),
        longest_run=max((max(s.stop - s.start, s.heard_stop - s.heard_start) for s in apart), default=0),
    )


def _repeated(heard: Sequence[str], stretch: Stretch, extra: int) -> int:
    """How many of a stretch's `extra` words repeat what was heard just before or after it."""
    start, stop = stretch.heard_start, stretch.heard_stop
    for size in range(extra, 0, -1):
        before = start >= size and heard[start - size : start] == heard[start : start + size]
        after = heard[stop : stop + size] == heard[stop - size : stop]
        if before or after:
            return size
    return 0


def mark_differences(text: str, heard: str) -> list[tuple[str, str, str]]:
    """The sentence in pieces for display: ("equal", words, words), or ("apart", words of the text, words heard)."""
    said, understood = clean(text).split(), heard.split()
    if not said:
        return []
    return [
        (
            "equal" if s.equal else "apart",
            " ".join(said[s.start : s.stop]),
            " ".join(understood[s.heard_start : s.heard_stop]),
        )
        for s in stretches(" ".join(said), heard)
    ]
