"""One table over the same recordings: TADA's codec, TASTE with its quantisers and unit decoders, units alone.

    python benchmarks/taste_table.py DATA --taste fsq=runs/taste/package --taste rvq=FOLDER --taste ar=FOLDER \\
        --sentences 52 --write docs/quality.md --json taste.json

DATA is a folder with metadata.csv or a prepared corpus (its held-out part). Every row hears the same recordings, with
their transcripts, and gives them back: decode(encode(recording)). One judge for all: pocketsphinx under a language
model of the data's sentences. What a row's decoder is not told is how long the speech is, unless the name says so.

tokens/s and bits/s are what is transmitted beside the text and the speaker: a vector per token has no bits here.
Durations: correlation of word lengths, as the built-in aligner finds them, with those of the recording. Speaker:
cosine of voice prints with the recording's. Mel: dB after time warping. RTF: decoding, seconds per second of sound.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from quality import fill

import unisono
from unisono.audio import resample
from unisono.audio.speaker import similarity, voice_print
from unisono.codec.quantisers import tuple_bits
from unisono.errors import UnisonoError
from unisono.evaluate.data import Item, choose, read_data
from unisono.evaluate.hearing import Ear, clean, write_domain_model
from unisono.evaluate.sound import compare, profile
from unisono.evaluate.words import character_counts, word_counts
from unisono.families.taste.conditions import SeededDraws, UnitSampling
from unisono.files import replacing
from unisono.interface import Audio, SpeechModel

RATE = 24000
STEPS = (1, 4, 10)
WRONG_LENGTHS = (0.8, 1.2)
FORMS = ("{:.2f}", "{:.2f}", "{:.1f} dB")  # speaker, durations, mel


class Made(NamedTuple):
    """A recording given back: `audio`, seconds of decoding, things transmitted, their bits (None = not counted)."""

    audio: Audio
    seconds: float
    tokens: int
    bits: float | None


class System(NamedTuple):
    """A row: its name, and what it makes of a recording [N] at 24 kHz and its transcript."""

    name: str
    make: Callable[[Audio, str], Made]


@dataclass
class Row:
    """What was counted of a system over all recordings."""

    name: str
    errors: int = 0
    words: int = 0
    letter_errors: int = 0
    letters: int = 0
    seconds: float = 0.0
    decoding: float = 0.0
    tokens: int = 0
    bits: float | None = 0.0
    likeness: list[float] = field(default_factory=list)
    mel: list[float] = field(default_factory=list)
    lengths: list[tuple[float, float]] = field(default_factory=list)
    failed: int = 0

    def figures(self) -> dict[str, Any]:
        """The numbers of the table."""
        pairs = np.array(self.lengths)
        return {
            "name": self.name,
            "tokens_per_second": self.tokens / self.seconds,
            "bits_per_second": None if self.bits is None else self.bits / self.seconds,
            "wer": 100 * self.errors / self.words,
            "cer": 100 * self.letter_errors / self.letters,
            "speaker_similarity": float(np.mean(self.likeness)) if self.likeness else None,
            "duration_correlation": float(np.corrcoef(pairs.T)[0, 1]) if len(pairs) > 2 else None,
            "mel_db": float(np.mean(self.mel)) if self.mel else None,
            "decode_rtf": self.decoding / self.seconds,
            "failed": self.failed,
        }


def recordings() -> System:
    """The recordings themselves."""
    return System("recordings", lambda audio, _: Made(audio, 0.0, 0, None))


def tada(model: SpeechModel) -> System:
    """TADA's codec: one vector per token, told how long everything is."""

    def make(audio: Audio, text: str) -> Made:
        tokens = model.encode(audio, text=text)
        began = time.perf_counter()
        speech = model.decode(tokens)
        seconds = time.perf_counter() - began
        return Made(Audio(speech.audio, speech.sample_rate), seconds, len(tokens.text_ids), None)

    return System("TADA built-in codec", make)


def units_alone(model: Any, name: str) -> System:
    """The units of the recording itself: what TASTE's unit decoder could reach at best."""

    @torch.inference_mode()
    def make(audio: Audio, _: str) -> Made:
        wave = torch.from_numpy(resample(audio, RATE).samples)
        units, speaker = model.sound.units(wave), model.sound.speaker(wave)
        began = time.perf_counter()
        made = model.sound.decode(units, speaker, 0)
        bits = len(units) * np.log2(model.model.config.units.speech_token_size)
        return Made(Audio(made.numpy(), model.sample_rate), time.perf_counter() - began, len(units), float(bits))

    return System(f"{name}: units of the recording", make)


def taste(model: Any, name: str, steps: int, codes: bool = True, length: float | None = None) -> System:
    """TASTE: code tuples of words, units by the model's decoder.

    Args:
        steps: passes of a masked-diffusion decoder. codes: False = text only.
        length: units wanted by those of the recording; None = the decoder finds the length itself.
    """

    @torch.inference_mode()
    def make(audio: Audio, text: str) -> Made:
        tokens = model.encode(audio, text=text)
        spelled = model.hearing.text(tokens.text_ids.tolist())
        words = int(spelled.words.max()) + 1
        embeds = model.model.audio_tower.embeds(tokens.codes[None]) if codes else None
        wanted = None if length is None else max(1, round(length * tokens.frames))
        card = model.card.options
        sampling = UnitSampling(
            top_k=card.get("unit_top_k", 25), temperature=card.get("temperature", 1.0), steps=steps, length=wanted
        )
        speaker = tokens.extras["speaker"]
        began = time.perf_counter()
        units = model.model.make_units(spelled.ids, spelled.lengths, speaker[None], embeds, sampling, SeededDraws([0]))[
            0
        ]
        made = model.sound.decode(units, speaker, 0)
        seconds = time.perf_counter() - began
        bits = words * tuple_bits(model.model.audio_tower.quantiser) if codes else 0.0
        return Made(Audio(made.float().numpy(), model.sample_rate), seconds, words if codes else 0, bits)

    return System(name, make)


def systems(folders: Sequence[str]) -> Iterator[System]:
    """All rows: recordings, TADA, and for every NAME=FOLDER what its decoder allows."""
    yield recordings()
    yield tada(unisono.load())
    for index, given in enumerate(folders):
        name, _, folder = given.partition("=")
        model = unisono.load(folder)
        if index == 0:
            yield units_alone(model, name)
        if model.model.config.units.kind == "autoregressive":
            yield taste(model, f"{name}, autoregressive", 1)
            continue
        for steps in STEPS:
            yield taste(model, f"{name}, diffusion, {steps} steps", steps)
        yield taste(model, f"{name}, diffusion, 10 steps, length told", 10, length=1.0)
        for factor in WRONG_LENGTHS:
            yield taste(model, f"{name}, diffusion, 10 steps, length told {factor - 1:+.0%}", 10, length=factor)
        yield taste(model, f"{name}, diffusion, 10 steps, text only", 10, codes=False)


class Harness:
    """The same ears and aligner for every row."""

    def __init__(self, items: Sequence[Item], ear: Ear, aligner: SpeechModel) -> None:
        self.items, self.ear, self.aligner = items, ear, aligner
        self.sounds = [resample(item.read(), RATE) for item in items]
        self.prints = [voice_print(audio) for audio in self.sounds]
        self.profiles = [profile(audio) for audio in self.sounds]
        self.words = [self._lengths(audio, item.text) for audio, item in zip(self.sounds, items, strict=True)]

    def _lengths(self, audio: Audio, text: str) -> list[float] | None:
        """Seconds of every word; None where sound and text cannot be aligned."""
        try:
            return [word.end - word.start for word in self.aligner.align(audio, text=text).words]
        except UnisonoError:
            return None

    def run(self, system: System) -> Row:
        """Give every recording to a system and measure what comes back."""
        row = Row(system.name)
        for index, (audio, item) in enumerate(zip(self.sounds, self.items, strict=True)):
            made = system.make(audio, item.text)
            heard = self.ear.hear(made.audio)
            words, letters = word_counts(clean(item.text), heard), character_counts(clean(item.text), heard)
            row.errors, row.words = row.errors + words.errors, row.words + words.length
            row.letter_errors, row.letters = row.letter_errors + letters.errors, row.letters + letters.length
            row.failed += words.errors > 0.5 * words.length
            row.seconds += len(made.audio.samples) / made.audio.sample_rate
            row.decoding, row.tokens = row.decoding + made.seconds, row.tokens + made.tokens
            row.bits = None if row.bits is None or made.bits is None else row.bits + made.bits
            self._sound(row, index, made.audio)
        return row

    def _sound(self, row: Row, index: int, audio: Audio) -> None:
        """Speaker, mel and durations against the recording."""
        row.likeness.append(similarity(voice_print(audio), [self.prints[index]]))
        distance = compare(profile(audio), self.profiles[index]).mel_db
        if distance is not None:
            row.mel.append(distance)
        found, own = self._lengths(audio, self.items[index].text), self.words[index]
        if found and own and len(found) == len(own):
            row.lengths += list(zip(own, found, strict=True))


def table(rows: Sequence[dict[str, Any]], count: int, words: int) -> Iterator[str]:
    """Lines of the table."""
    yield "| system | tokens/s | bits/s | WER | CER | speaker | durations | mel | decode RTF |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        bits = "" if row["bits_per_second"] is None else f"{row['bits_per_second']:.0f}"
        rate = "" if not row["tokens_per_second"] else f"{row['tokens_per_second']:.1f}"
        numbers = (row["speaker_similarity"], row["duration_correlation"], row["mel_db"])
        shown = [form.format(value) if value is not None else "" for form, value in zip(FORMS, numbers, strict=True)]
        speed = f"{row['decode_rtf']:.3f}" if row["decode_rtf"] else ""
        heard = f"{row['wer']:.1f} % | {row['cer']:.1f} %"
        yield f"| {row['name']} | {rate} | {bits} | {heard} | {' | '.join(shown)} | {speed} |"
    yield ""
    yield (
        f"{count} recordings, {words} words, one thread; unisono {version('unisono')}, "
        f"torch {version('torch').split('+')[0]}, {platform.machine()}."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--taste", action="append", default=[], metavar="NAME=FOLDER", help="may be repeated")
    parser.add_argument("--speaker", action="append", default=[], help="only this speaker; may be repeated")
    parser.add_argument("--domain", action="append", default=[], help="more sentences for the judge")
    parser.add_argument("--sentences", type=int, default=52)
    parser.add_argument("--rows", default="", help="only rows whose name holds one of these, with commas")
    parser.add_argument("--write", type=Path, help="document whose table is filled")
    parser.add_argument("--json", type=Path, help="file for the numbers and the machine")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    data = read_data(given.data, given.speaker, given.domain)
    items = choose(data.items, given.sentences)
    wanted = [name.strip() for name in given.rows.split(",") if name.strip()]
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        ear = Ear(write_domain_model(Path(folder), [*data.domain, *(item.text for item in items)]))
        harness = Harness(items, ear, unisono.load())
        for system in systems(given.taste):
            if wanted and not any(name in system.name for name in wanted):
                continue
            row = harness.run(system)
            figures.append(row.figures())
            print(f"{row.name}: {figures[-1]['wer']:.1f} % of {row.words} words", file=sys.stderr)
    lines = list(table(figures, len(items), row.words))
    print("\n".join(lines))
    if given.write:
        fill(given.write, lines, "taste")
    if given.json:
        machine = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "threads": 1}
        with replacing(given.json) as temporary:
            temporary.write_text(json.dumps({**machine, "rows": figures}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
