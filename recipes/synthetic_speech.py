"""Make a corpus of synthetic training speech: flite and espeak-ng read sentences of free Debian packages.

    python recipes/synthetic_speech.py --texts build/texts --out build/synth \
        --exclude speech/*/metadata.csv --hours flite-slt=9 flite-rms=3.5 flite-awb=2 flite-kal=0.5 espeak-us=1

needs Debian's flite, espeak-ng, sox and apt-get (which only downloads here), Python and soundfile. The corpus is
`audio/*.flac` (mono, 16 bit, 16 kHz) and `metadata.csv` (`file|text|speaker|language|seconds`). The run is seeded;
interrupted, it goes on where it stopped, and with more hours it adds to what is there. `sources.csv` tells where each
sentence came from, `refused.csv` which clips failed.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import soundfile
import synthetic_texts as texts

RATE = 16000
SHORTEST, LONGEST = 0.6, 15.0  # seconds of a clip that is kept
QUIETEST = 0.005  # root mean square of a clip that is kept
CHUNK = 200  # clips between two writings of the metadata
SHARED = 100  # sentences that every speaker reads
STRETCHED = 0.3  # part of the clips with another speaking rate
STRETCH = (0.9, 1.15)
DRAWL = re.compile(r"(.)\1\1", re.IGNORECASE)  # cries such as "Ahhh", which the voices spell
HOURS = {"flite-slt": 9.0, "flite-rms": 3.5, "flite-awb": 2.0, "flite-kal": 0.5, "espeak-us": 1.0}
FLITE_VOICES = {"flite-slt": "slt", "flite-rms": "rms", "flite-awb": "awb", "flite-kal": "kal16"}
ESPEAK_WORDS_PER_MINUTE = 165
HEADER = ("file", "text", "speaker", "language", "seconds")


@dataclass(frozen=True)
class Job:
    """One clip to make."""

    file: str
    text: str
    speaker: str
    stretch: float
    source: str


def command_lines(job: Job, target: Path) -> list[list[str]]:
    """Commands that leave the clip as a wave file in `target`."""
    if job.speaker in FLITE_VOICES:
        voice = FLITE_VOICES[job.speaker]
        pace = ["--setf", f"duration_stretch={job.stretch:.3f}"]
        return [["flite", "-voice", voice, *pace, "-t", job.text, "-o", str(target)]]
    raw, speed = str(target.with_suffix(".raw.wav")), round(ESPEAK_WORDS_PER_MINUTE / job.stretch)
    return [
        ["espeak-ng", "-v", "en-us", "-s", str(speed), "-w", raw, job.text],
        ["sox", "-D", "-G", raw, "-r", str(RATE), "-b", "16", str(target)],
    ]


def make_clip(job: Job, out: Path) -> float:
    """Synthesise one clip; its seconds, or 0 where it failed or is silent, too short or too long."""
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        wave = Path(folder) / "clip.wav"
        try:
            for command in command_lines(job, wave):
                subprocess.run(command, check=True, timeout=60, capture_output=True)
            samples, rate = soundfile.read(wave, dtype="float32")
        except (subprocess.SubprocessError, OSError, soundfile.SoundFileError):
            return 0.0
    seconds = len(samples) / rate
    if rate != RATE or samples.ndim != 1 or not SHORTEST <= seconds <= LONGEST:
        return 0.0
    if float((samples**2).mean()) ** 0.5 < QUIETEST:
        return 0.0
    soundfile.write(out / job.file, samples, rate, subtype="PCM_16", format="FLAC")
    return seconds


def scratch() -> str | None:
    """Memory rather than disk for the wave files, where the system offers it."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def plan(selection: list[tuple[str, str]], hours: dict[str, float], seed: int) -> dict[str, list[Job]]:
    """Share the sentences out in proportion to the hours; the first few go to everyone.

    A sentence's speaker, file name and pace depend on the seed and its place only, so that a later run agrees.
    """
    rng = random.Random(seed)
    jobs: dict[str, list[Job]] = {speaker: [] for speaker in hours}
    speakers, weights = list(HOURS), list(HOURS.values())
    for number, (source, text) in enumerate(selection):
        chosen = rng.choices(speakers, weights)[0]
        for speaker in speakers if number < SHARED else [chosen]:
            stretch = rng.uniform(*STRETCH) if rng.random() < STRETCHED else 1.0
            if speaker in jobs and not DRAWL.search(text):
                jobs[speaker].append(Job(f"audio/{speaker}-{number:06d}.flac", text, speaker, stretch, source))
    return jobs


def read_table(path: Path) -> list[list[str]]:
    """Rows of a table separated by bars, without its header; empty where there is none."""
    return [line.split("|") for line in path.read_text("utf-8").splitlines()[1:]] if path.exists() else []


def write_table(path: Path, header: tuple[str, ...], rows: list[list[str]]) -> None:
    """Write a table beside its place, then move it there: a reader never sees half of it."""
    partial = path.with_suffix(".partial")
    partial.write_text("".join("|".join(row) + "\n" for row in [header, *rows]), "utf-8")
    os.replace(partial, path)


class Corpus:
    """The folder that is filled, and what is known of its clips (seconds of 0: tried and refused)."""

    def __init__(self, out: Path) -> None:
        (out / "audio").mkdir(parents=True, exist_ok=True)
        self.out = out
        self.rows = read_table(out / "metadata.csv")
        self.sources = read_table(out / "sources.csv")
        self.seconds = {row[0]: float(row[4]) for row in self.rows}
        self.refused = {row[0] for row in read_table(out / "refused.csv")}

    def add(self, job: Job, seconds: float) -> None:
        if seconds:
            self.seconds[job.file] = seconds
            self.rows.append([job.file, job.text, job.speaker, "en", f"{seconds:.2f}"])
            self.sources.append([job.file, job.source, f"{job.stretch:.3f}"])
        else:
            self.refused.add(job.file)

    def save(self) -> None:
        write_table(self.out / "sources.csv", ("file", "source", "stretch"), self.sources)
        write_table(self.out / "refused.csv", ("file",), [[name] for name in sorted(self.refused)])
        write_table(self.out / "metadata.csv", HEADER, self.rows)


def fill(corpus: Corpus, jobs: list[Job], hours: float, pool: ProcessPoolExecutor) -> float:
    """Make clips of one speaker, in order, until there are `hours` of them; the hours reached."""
    made = sum(corpus.seconds.get(job.file, 0.0) for job in jobs)
    waiting = iter([job for job in jobs if job.file not in corpus.seconds and job.file not in corpus.refused])
    while made < hours * 3600:
        chunk = list(islice(waiting, CHUNK))
        if not chunk:
            print(f"{jobs[0].speaker}: sentences ran out", file=sys.stderr)
            break
        for job, seconds in zip(chunk, pool.map(make_clip, chunk, [corpus.out] * len(chunk), chunksize=8), strict=True):
            corpus.add(job, seconds)
            made += seconds
        corpus.save()
        print(f"{chunk[0].speaker}: {made / 3600:.2f} of {hours:.2f} h", flush=True)
    return made / 3600


def sentences(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The selection kept beside the texts, made on the first run."""
    path = options.texts / f"selection-{options.seed}-{options.sentences}.jsonl"
    if not path.exists():
        packages = sorted({name for source in texts.SOURCES for name in source.packages})
        root = texts.fetch(packages, options.texts)
        pools = texts.candidates(root, texts.load_exclusion(options.exclude))
        write_counts(options.texts / "candidates.csv", pools)
        texts.write_selection(texts.select(pools, options.sentences, options.seed), path)
    return texts.read_selection(path)


def write_counts(path: Path, pools: dict[str, list[str]]) -> None:
    write_table(path, ("source", "candidates"), [[name, str(len(pool))] for name, pool in pools.items()])


def report(corpus: Corpus) -> None:
    """Print clips, hours, words and sources: the numbers for the description of the corpus."""
    vocabulary: set[str] = set()
    for speaker in HOURS:
        rows = [row for row in corpus.rows if row[2] == speaker]
        words = {word for row in rows for word in texts.normalise(row[1])}
        vocabulary |= words
        print(f"{speaker}|{len(rows)} clips|{sum(float(row[4]) for row in rows) / 3600:.2f} h|{len(words)} words")
    unlike = len({texts.normalise(row[1]) for row in corpus.rows})
    print(f"all|{len(corpus.rows)} clips|{sum(corpus.seconds.values()) / 3600:.2f} h|{len(vocabulary)} words")
    print(f"{unlike} different sentences, {len(corpus.refused)} clips refused")
    for source, count in Counter(row[1] for row in corpus.sources).most_common():
        print(f"{source}|{count} clips")
    print(f"checksum of the texts {zlib.crc32(''.join(sorted(row[1] for row in corpus.rows)).encode()):08x}")


def speaker_hours(value: str) -> tuple[str, float]:
    """`speaker=hours` of the command line."""
    speaker, _, hours = value.partition("=")
    if speaker not in HOURS:
        raise argparse.ArgumentTypeError(f"no speaker {speaker!r}; there are {', '.join(HOURS)}")
    return speaker, float(hours)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True, help="folder for the packages and the selection")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="metadata or text files never to be read")
    parser.add_argument("--hours", type=speaker_hours, nargs="*", default=list(HOURS.items()), metavar="SPEAKER=HOURS")
    parser.add_argument("--sentences", type=int, default=26000, help="sentences to select for all speakers together")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a stopped run stops its processes as well
    hours = dict(options.hours)
    jobs = plan(sentences(options), hours, options.seed)
    corpus = Corpus(options.out)
    with ProcessPoolExecutor(options.processes) as pool:
        for speaker, wanted in hours.items():
            fill(corpus, jobs[speaker], wanted, pool)
    report(corpus)


if __name__ == "__main__":
    main()
