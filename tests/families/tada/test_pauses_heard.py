"""Pauses of the built-in voice as a listener gets them: by word times, by marks, and by the energy of the sound."""

import numpy as np
import pytest

import unisono

FRAME = 0.02
SILENT_DB = -26  # the voice's own noise is 38 dB under its loudest 10 ms
SOFT = 0.25  # seconds: what fades out or begins softly is under SILENT_DB, and still of a word; a murmur is far off


@pytest.fixture(scope="module")
def voice():
    return unisono.load(device="cpu")


def silence_at(speech, second):
    """Seconds of the silence around a time, by root mean squares of 10 ms; 0.0 where there is sound."""
    hop = speech.sample_rate // 100
    count = len(speech.audio) // hop
    power = np.square(speech.audio[: count * hop]).reshape(count, hop).mean(1)
    level = 10 * np.log10(np.convolve(power, np.full(3, 1 / 3), mode="same") / power.max() + 1e-12)
    loud = np.flatnonzero(np.concatenate([[True], level > SILENT_DB, [True]])) - 1
    at = np.searchsorted(loud, round(second * 100))
    return (loud[at] - loud[at - 1] - 1) / 100


def between(speech, words):
    """From the end of the first so many words to the start of the next one."""
    return (
        speech.words[words - 1].end if words else 0.0,
        speech.words[words].start if words < len(speech.words) else speech.duration,
    )


def marks_between(speech, text, words):
    """Frames between the marks of the letters on both sides of a pause."""
    spoken = [token for token in speech.tokens if token.text.isalnum()]
    letters = sum(map(str.isalnum, "".join(text.split()[:words])))
    return spoken[letters].position - spoken[letters - 1].position


@pytest.mark.parametrize("seconds", [0.3, 0.8, 2.0])
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("She told him", "about the old house by the river."),
        ("When the rain stopped,", "we walked home again."),
        ("This is the first part.", "This is the second one."),
    ],
)
def test_a_pause_is_heard_as_long_as_asked(voice, before, behind, seconds):
    words = len(before.split())
    speech = voice.say(f"{before} [pause:{seconds}s] {behind}", seed=5)
    start, end = between(speech, words)
    assert end - start == pytest.approx(seconds, abs=FRAME + 1e-6)
    assert silence_at(speech, (start + end) / 2) == pytest.approx(seconds, abs=SOFT)
    assert marks_between(speech, before + " " + behind, words) >= round(seconds * 50)


def test_pauses_at_both_ends_and_two_in_a_row(voice):
    speech = voice.say("[pause:0.8s] Good morning [pause:0.3s] [pause:500ms] to all of you. [pause:1s]", seed=5)
    gaps = [between(speech, words) for words in (0, 2, 6)]
    assert [end - start for start, end in gaps] == pytest.approx([0.8, 0.8, 1.0], abs=FRAME + 1e-6)
    assert [silence_at(speech, sum(gap) / 2) for gap in gaps] == pytest.approx([0.8, 0.8, 1.0], abs=SOFT)


def test_a_pause_shortens_and_lengthens_nothing_else(voice):
    plain, paused = (voice.say(f"Good morning {tag}to all of you.", seed=5) for tag in ("", "[pause:1s] "))
    assert [token.id for token in paused.tokens] == [token.id for token in plain.tokens]
    longer = paused.duration - plain.duration
    start, end = between(plain, 2)
    assert longer == pytest.approx(1.0 - (end - start), abs=0.25)  # what is drawn behind a pause is drawn anew


@pytest.mark.parametrize(
    ("before", "behind", "seed"),
    [
        ("The train was late.", "We waited for an hour.", 7),
        ("Take the second street.", "After that, turn left.", 7),
        ("What a lovely house!", "It must be very old.", 7),
        ("Are you coming with us?", "The bus leaves at ten.", 7),
    ],
)
def test_a_pause_between_sentences_begins_without_a_thump(voice, before, behind, seed):
    first, second = voice.sentences(f"{before} [pause:0.8s] {behind}", seed=seed)
    peak = max(np.abs(first.audio).max(), np.abs(second.audio).max())
    hop = second.sample_rate // 100
    start = second.audio[: 20 * hop].reshape(20, hop)
    level = 10 * np.log10(np.square(start).mean(1) / peak**2 + 1e-12)
    assert level.max() < -34  # a thump was at -21 to -28 dB, 60 ms in


@pytest.mark.parametrize("rate", [0.7, 1.4])
def test_a_rate_divides_the_durations_of_its_words(voice, rate):
    text = "We walked along the quiet river until the evening came"
    plain = voice.say(f"{text}.", seed=5)
    changed = voice.say(f"We walked [rate:{rate}]along the quiet river until[/rate] the evening came.", seed=5)
    spans = []
    for speech in (plain, changed):
        letters = [token.position for token in speech.tokens if token.text.isalnum()]
        low, high = (sum(map(len, text.split()[:words])) for words in (2, 7))
        spans.append((letters[high - 1] - letters[low], letters[low]))
    assert spans[0][0] / spans[1][0] == pytest.approx(rate, rel=0.08)
    assert spans[1][1] == pytest.approx(spans[0][1], abs=3)
