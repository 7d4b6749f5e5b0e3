"""English sentences for synthetic training speech, gathered from freely licensed Debian packages.

Every reader takes the folder below which the packages were unpacked and yields raw paragraphs; one common
filter turns paragraphs into plain sentences. `select` then picks sentences so that rare words are covered.
"""

from __future__ import annotations

import gzip
import html
import json
import random
import re
import struct
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CAMPAIGNS = "did,dm,dw,ei,httt,l,low,nr,sof,sota,sotbe,thot,trow,tsg,ttb,utbs"
WESNOTH = tuple(f"wesnoth-1.16-{name}" for name in CAMPAIGNS.split(","))
MIN_WORDS, MAX_WORDS = 4, 22

TITLES = re.compile(r"\b(Mr|Mrs|Dr)\.")
SENTENCE_END = re.compile(r"(?<=[.?!])[\"']?\s+(?=[\"']?[A-Z])")
ALLOWED = re.compile(r"[A-Z][A-Za-z.,?!';:\- ]*[.?!]")
REFUSED = re.compile(
    r"[A-Z]{2}"  # runs of capitals
    r"|[a-z][A-Z][a-z]*[A-Z]"  # camel case
    r"|(?:^|[ ,;:])'|'(?:[ ,;:.?!]|$)"  # quotation by apostrophes, clipped words
    r"|[.,?!;:'-]{2}|[.?!](?! ?$)"  # doubled marks, a full stop inside
    r"|-(?: |$)| -| [.,?!;:]|[,;:'-][.?!]?$"  # loose hyphens and marks
    r"|\b[B-HJ-Zb-hj-z]\b(?!')|\b[^\W\d_]{19,}"  # single letters, monsters
)
SINGLE_LETTER_AFTER_APOSTROPHE = re.compile(r"'[dmst]\b")
ABBREVIATIONS = frozenset({"etc", "viz", "cf", "vs", "ibid", "obs", "esp", "shak"})


@dataclass(frozen=True)
class Source:
    """One kind of text: the packages it comes from, its reader and its share of the selection."""

    name: str
    packages: tuple[str, ...]
    share: float
    read: Callable[[Path], Iterator[str]]


def fetch(packages: Iterable[str], folder: Path) -> Path:
    """Download the packages with apt and unpack them below `folder` (no root rights, nothing is installed)."""
    archives, root = folder / "deb", folder / "root"
    for part in (archives, root):
        part.mkdir(parents=True, exist_ok=True)
    missing = [name for name in packages if not any(archives.glob(f"{name}_*.deb"))]
    if missing:
        subprocess.run(["apt-get", "download", "-q", *missing], cwd=archives, check=True)
    for name in packages:
        if not (root / "usr/share/doc" / name / "copyright").exists():
            archive = next(archives.glob(f"{name}_*.deb"))
            subprocess.run(["dpkg-deb", "-x", str(archive), str(root)], check=True)
    return root


def wordnet_parts(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Definition and quoted examples of every synset."""
    for kind in ("noun", "verb", "adj", "adv"):
        for line in (root / "usr/share/wordnet" / f"data.{kind}").read_text("utf-8", "replace").splitlines():
            gloss = line.partition(" | ")[2].strip()
            if gloss:
                examples = [example.strip() for example in re.findall(r'"([^"]+)"', gloss)]
                yield gloss.partition('; "')[0].strip(), examples


def as_sentence(text: str) -> str:
    """Capitalise a phrase and close it with a full stop."""
    text = text.strip().rstrip(",;:")
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else text + "."


def read_wordnet_examples(root: Path) -> Iterator[str]:
    for _, examples in wordnet_parts(root):
        yield from (as_sentence(example) for example in examples)


def read_wordnet_glosses(root: Path) -> Iterator[str]:
    for gloss, _ in wordnet_parts(root):
        if 6 <= len(gloss.split()) <= 16:
            yield as_sentence(gloss.split(";")[0])


def read_dictd(root: Path, name: str) -> str:
    return gzip.open(root / "usr/share/dictd" / f"{name}.dict.dz").read().decode("utf-8", "replace")


def read_gcide(root: Path) -> Iterator[str]:
    """Quotations: deeply indented blocks that end in two hyphens and an author."""
    block: list[str] = []
    for line in read_dictd(root, "gcide").splitlines():
        if not line.startswith("            "):
            block = []
            continue
        text, dashes, _ = line.strip().partition("--")
        block.append(text.strip())
        if dashes:
            yield as_sentence(" ".join(block))
            block = []


def read_devil(root: Path) -> Iterator[str]:
    for entry in re.split(r"\n\s*\n", read_dictd(root, "devil")):
        lines = entry.splitlines()
        if lines and not any(re.match(r"\s{3,}\S", line) for line in lines[1:]):
            yield re.sub(r"^[A-Z' -]+, [a-z.]+\s+", "", " ".join(lines).strip())


def read_austen(root: Path) -> Iterator[str]:
    """Six novels, kept by R as compressed vectors of lines; an empty line ends a paragraph."""
    data = (root / "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb").read_bytes()
    while len(data) > 6:
        decoder = zlib.decompressobj()
        lines = r_strings(decoder.decompress(data[4:]))  # behind the length of the unpacked object
        data = decoder.unused_data
        paragraph: list[str] = []
        for line in [*lines, ""]:
            if line.strip():
                paragraph.append(line.strip())
            elif paragraph:
                yield re.sub(r"_", "", " ".join(paragraph))
                paragraph = []


def r_strings(data: bytes) -> list[str]:
    """The strings of the first character vector in a serialised R object."""
    found = re.search(rb"\x00\x00\x00\x10(....)(?=\x00.\x00\x09)", data, re.DOTALL)
    if not found:
        return []
    count, at, strings = struct.unpack(">i", found[1])[0], found.end(), []
    for _ in range(count):
        length = struct.unpack(">i", data[at + 4 : at + 8])[0]
        at += 8
        strings.append(data[at : at + max(length, 0)].decode("utf-8", "replace"))
        at += max(length, 0)
    return strings


def read_wesnoth(root: Path) -> Iterator[str]:
    """Story and dialogue of the campaigns: translatable strings of the scenario files."""
    for path in sorted((root / "usr/share/games/wesnoth").rglob("*.cfg")):
        text = path.read_text("utf-8", "replace")
        for string in re.findall(r'(?:message|story|text|description)\s*=\s*_\s*"((?:[^"]|"")*)"', text):
            yield from re.sub(r"<[^>]*>", "", string.replace('""', '"')).split("\n\n")


def read_markup(paths: Iterable[Path]) -> Iterator[str]:
    """Paragraph elements of HTML or Mallard pages, without those that hold code, notes or references."""
    for path in paths:
        text = path.read_text("utf-8", "replace")
        for paragraph in re.findall(r"<p(?: [^>]*)?>(.*?)</p>", text, re.DOTALL):
            plain = html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"\[[^\]]*\]", "", paragraph)))
            yield re.sub(r"\s+\.", ".", plain)


def read_anarchism(root: Path) -> Iterator[str]:
    yield from read_markup(sorted((root / "usr/share/doc/anarchism/html").glob("sec*.html")))


def read_gnome(root: Path) -> Iterator[str]:
    yield from read_markup(sorted((root / "usr/share/help/C/gnome-help").glob("*.page")))


SOURCES = (
    Source("wordnet-examples", ("wordnet-base",), 0.40, read_wordnet_examples),
    Source("wesnoth-stories", WESNOTH, 0.20, read_wesnoth),
    Source("austen-novels", ("r-cran-janeaustenr",), 0.12, read_austen),
    Source("gcide-quotations", ("dict-gcide",), 0.10, read_gcide),
    Source("anarchism-faq", ("anarchism",), 0.06, read_anarchism),
    Source("wordnet-glosses", ("wordnet-base",), 0.06, read_wordnet_glosses),
    Source("gnome-help", ("gnome-user-docs",), 0.04, read_gnome),
    Source("devils-dictionary", ("dict-devil",), 0.02, read_devil),
)


def normalise(text: str) -> tuple[str, ...]:
    """Words in lower case, without marks: what two texts are compared by."""
    return tuple(re.findall(r"[a-z']+", text.lower().replace("’", "'")))


def split_sentences(paragraph: str) -> Iterator[str]:
    """Plain sentences of a paragraph, before any refusal."""
    text = paragraph.translate(str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "—": "--", "–": "--"}))
    text = re.sub(r"\s*\.\s?\.\s?\.(?:\s?\.)?\s*(?=[a-z])", ", ", re.sub(r"\s+", " ", text))
    text = TITLES.sub(r"\1@", re.sub(r",?\s*--+\s*", ", ", text))
    for sentence in SENTENCE_END.split(text):
        yield sentence.replace('"', "").replace("@", ".").strip()


def acceptable(sentence: str) -> bool:
    """Whether a sentence is plain prose that a synthesiser reads as it is written."""
    if not ALLOWED.fullmatch(sentence) or not MIN_WORDS <= len(sentence.split()) <= MAX_WORDS:
        return False
    bare = SINGLE_LETTER_AFTER_APOSTROPHE.sub("'xx", TITLES.sub(r"\1", sentence))
    if REFUSED.search(bare):
        return False
    return ABBREVIATIONS.isdisjoint(normalise(sentence)) and sum(map(str.isupper, sentence)) <= 5


class Exclusion:
    """Texts that must not be read: equal sentences, and any sentence that shares `span` words in a row."""

    def __init__(self, texts: Iterable[str], span: int = 6) -> None:
        self.span, self.whole, self.grams = span, set(), set()
        for words in map(normalise, texts):
            self.whole.add(words)
            self.grams.update(self.parts(words))

    def parts(self, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        return (words[i : i + self.span] for i in range(len(words) - self.span + 1))

    def __contains__(self, sentence: str) -> bool:
        words = normalise(sentence)
        return words in self.whole or any(part in self.grams for part in self.parts(words))


def load_exclusion(paths: Iterable[Path]) -> Exclusion:
    """Texts of metadata files (`file|text|...`), or plain lines of any other file."""
    texts: list[str] = []
    for path in paths:
        lines = path.read_text("utf-8").splitlines()
        if lines and lines[0].startswith("file|text"):
            texts += [line.split("|")[1] for line in lines[1:] if line.count("|") >= 2]
        else:
            texts += lines
    return Exclusion(texts)


def candidates(root: Path, exclusion: Exclusion) -> dict[str, list[str]]:
    """Acceptable sentences by source, without repetitions within or across the sources."""
    seen: set[tuple[str, ...]] = set()
    found: dict[str, list[str]] = {}
    for source in SOURCES:
        pool = found[source.name] = []
        for paragraph in source.read(root):
            for sentence in split_sentences(paragraph):
                words = normalise(sentence)
                if words not in seen and acceptable(sentence) and sentence not in exclusion:
                    seen.add(words)
                    pool.append(sentence)
    return found


def select(pools: dict[str, list[str]], count: int, seed: int, draws: int = 12) -> list[tuple[str, str]]:
    """`count` pairs (source, sentence): each the one of `draws` random sentences with the rarest words so far."""
    rng = random.Random(seed)
    left = {name: rng.sample(pool, len(pool)) for name, pool in pools.items()}
    shares = {source.name: source.share for source in SOURCES}
    heard: Counter[str] = Counter()
    chosen: list[tuple[str, str]] = []
    while len(chosen) < count and any(left.values()):
        names = [name for name, pool in left.items() if pool]
        name = rng.choices(names, [shares[name] for name in names])[0]
        pool = left[name]
        places = [rng.randrange(len(pool)) for _ in range(draws)]
        best = max(places, key=lambda place: novelty(pool[place], heard))
        pool[best], pool[-1] = pool[-1], pool[best]
        sentence = pool.pop()
        heard.update(normalise(sentence))
        chosen.append((name, sentence))
    return chosen


def novelty(sentence: str, heard: Counter[str]) -> float:
    """Mean rarity of the words of a sentence, a little in favour of long ones."""
    words = normalise(sentence)
    return sum(1 / (1 + heard[word]) for word in words) / len(words) ** 0.7


def write_selection(chosen: list[tuple[str, str]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(pair) + "\n" for pair in chosen), "utf-8")


def read_selection(path: Path) -> list[tuple[str, str]]:
    return [tuple(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
