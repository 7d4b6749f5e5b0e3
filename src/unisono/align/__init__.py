"""Who speaks when: frame posteriors, the monotonic search, words from marks, files of word times."""

from unisono.align.formats import check_words_path, write_words
from unisono.align.search import search, search_tokens
from unisono.align.words import words_from_marks

__all__ = ["check_words_path", "search", "search_tokens", "words_from_marks", "write_words"]
