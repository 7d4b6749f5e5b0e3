"""TEXT IN: normalise, split into sentences, tokenise; every span maps back to the source text."""

from unisono.text.characters import CharacterTokenizer
from unisono.text.chunks import split_chunks
from unisono.text.incoming import speakable_parts
from unisono.text.letters import LetterSoundTokenizer
from unisono.text.normalize import normalize
from unisono.text.normalized import Normalized, Piece
from unisono.text.script import Pause, Rate, Respelling, Script, read_script
from unisono.text.sentences import split_clauses, split_sentences
from unisono.text.tokenizers import load_tokenizer
from unisono.text.words import ShownWord, shown_words, source_words, words_of_tokens

__all__ = [
    "CharacterTokenizer",
    "LetterSoundTokenizer",
    "Normalized",
    "Pause",
    "Piece",
    "Rate",
    "Respelling",
    "Script",
    "ShownWord",
    "load_tokenizer",
    "normalize",
    "read_script",
    "shown_words",
    "source_words",
    "speakable_parts",
    "split_chunks",
    "split_clauses",
    "split_sentences",
    "words_of_tokens",
]
