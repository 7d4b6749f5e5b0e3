"""Who speaks when: frame posteriors, the monotonic search (`align.search`), words from marks, files of word times."""

from unisono.align.formats import check_words_path, write_words
from unisono.align.words import settled, words_from_marks

__all__ = ["check_words_path", "settled", "words_from_marks", "write_words"]
