"""Search guided by verifiers: draws are reused, scores never fall, calls are counted; over a model of no family."""

import json
from itertools import pairwise

import numpy as np
import pytest

from unisono.errors import InputError
from unisono.interface import Audio, Speech
from unisono.speak.search import (
    BestOf,
    DurationPlausibility,
    Search,
    SentenceSpace,
    SpeakerLikeness,
    WordErrors,
    beam_search,
    best_of,
    make_verifier,
    search,
    word_error_rate,
)
from unisono.speak.search.best_of import seed_of

RATE = 24000


class Dice:
    """A model whose speech has a length that its seed decides; it counts how often it speaks."""

    family, name, language, sample_rate = "dice", "dice", "en", RATE
    can_clone = can_stream = can_continue = word_times = True

    def __init__(self):
        self.calls = []

    def say(self, text, *, voice=None, seed=0, **options):
        self.calls.append((text, seed))
        frames = 1 + int(np.random.default_rng([seed, len(text)]).integers(100))
        return Speech(np.full(frames * RATE // 50, 0.1, np.float32), RATE, text, [], [])


def shortness(speech, text, whole=True):
    return -speech.duration


# Best of N


@pytest.mark.parametrize("seed", range(5))
def test_the_score_never_falls_as_n_grows_and_draws_are_reused(seed):
    model = Dice()
    draws = best_of(model, "Hello.", shortness, seed=seed)
    scores = []
    for count in range(1, 12):
        found = draws.best(count)
        scores.append(found.score)
        assert found.model_calls == found.verifier_calls == len(model.calls) == count
        assert found.score == max(found.scores) == -found.speech.duration
    assert scores == sorted(scores) and scores[0] < scores[-1]
    whole = best_of(Dice(), "Hello.", shortness, seed=seed).best(11)
    assert whole.scores == found.scores and np.array_equal(whole.speech.audio, found.speech.audio)


def test_the_first_draw_is_what_the_model_says():
    model = Dice()
    best_of(model, "Hello.", shortness, seed=7).best(3)
    assert model.calls[0] == ("Hello.", 7) and len({seed for _, seed in model.calls}) == 3
    assert seed_of(7, 0, 0) == 7 and 0 <= seed_of(7, 1) < 2**63


@pytest.mark.parametrize("count", [0, -1, 1001, 1.5])
def test_numbers_of_draws_that_cannot_be_used(count):
    with pytest.raises(InputError, match="best of"):
        BestOf(lambda number: None, lambda speech: 0.0).best(count)


# Beams

TEXT = "One is here. Two are there. Three it is. Four and out."


class Trail:
    """Speeches of three steps whose lengths depend on the whole path, so that a greedy search may go astray."""

    text, calls = "Three steps.", 0

    def __init__(self, seed):
        self.seed, self.made = seed, {(): 0}

    def plain(self):
        return None

    def extend(self, path):
        self.calls += 1
        self.made[path] = self.made[path[:-1]] + int(np.random.default_rng([self.seed, *path]).integers(1, 50))

    def finished(self, path):
        return len(path) == 3

    def speech(self, path):
        return Speech(np.zeros(self.made[path] * 100, np.float32), RATE, self.text, [], [])


def test_the_score_never_falls_as_beams_grow():
    """Nor does it ever for more steps that are guided by nothing but what is met; some seeds go astray at first."""
    gained = 0
    for seed in range(20):
        found = [beam_search(Trail(seed), shortness, beams=width, expansions=3) for width in range(1, 5)]
        scores = [each.score for each in found]
        assert scores == sorted(scores)
        assert all(set(a.scores) <= set(b.scores) for a, b in pairwise(found)), "draws are reused"
        gained += scores[0] < scores[-1]
    assert gained > 3


def test_what_is_counted_is_how_often_the_model_was_asked():
    model = Dice()
    found = beam_search(SentenceSpace(model, TEXT, seed=1), shortness, beams=2, expansions=3)
    assert found.model_calls == len(model.calls) == 1 + 4 * 3  # the whole text, and three draws of each sentence


@pytest.mark.parametrize("seed", range(5))
def test_beams_find_what_guides_them_and_are_never_worse_than_no_search(seed):
    model = Dice()
    plain = model.say(TEXT, seed=seed)
    found = beam_search(SentenceSpace(model, TEXT, seed=seed), shortness, beams=2, expansions=4)
    assert found.score >= -plain.duration and found.score == -found.speech.duration
    # Shortness adds up, so the best of every step is the best of all.
    shortest = [min(len(Dice().say(s, seed=k).audio) for k in seeds) for s, seeds in sentence_seeds(seed, 4)]
    assert len(found.speech.audio) == min(sum(shortest), len(plain.audio))


def sentence_seeds(seed, draws):
    """The sentences of `TEXT` with the seeds of their draws."""
    sentences = [f"{part}." for part in TEXT.removesuffix(".").split(". ")]
    return [(s, [seed_of(seed, k, *([n] if k else [])) for k in range(draws)]) for n, s in enumerate(sentences)]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (TEXT, ["One is here.", "Two are there.", "Three it is.", "Four and out."]),
        (
            "Oh. [rate:1.2]Fast now. And on.[/rate] Slow. [rate:2]Go[/rate]. End.",
            ["Oh.", "[rate:1.2]Fast now. And on.[/rate]", "Slow.", "[rate:2]Go[/rate].", "End."],
        ),
        ("[rate:1.2]One. [rate:1.5]Two. Three[/rate]. Four.[/rate] Five.", None),
        ("... Well. ... [pause:1s]Yes. ...", ["... Well. ...", "[pause:1s]Yes. ..."]),
    ],
)
def test_no_step_cuts_a_tag_off_from_its_end(text, steps):
    from unisono.text import read_script

    found = SentenceSpace(Dice(), text).sentences
    assert steps is None or found == steps
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    for step in found:
        read_script(step)  # an open range would be an error


def test_a_reward_of_the_beginning_only_guides_the_first_steps():
    model, asked = Dice(), []

    def watched(speech, text, whole=True):
        asked.append(whole)
        return shortness(speech, text, whole)

    found = beam_search(SentenceSpace(model, TEXT, seed=1), watched, beams=1, expansions=3, steps=1)
    assert asked.count(False) == 3  # the three first sentences
    assert found.verifier_calls == len(asked)
    # The whole text, three first sentences, and the rest of the beginning that stayed.
    assert found.model_calls == len(model.calls) == 1 + 3 + 3
    with pytest.raises(InputError, match="at least 1"):
        beam_search(SentenceSpace(model, TEXT, seed=1), shortness, beams=0)


@pytest.fixture(scope="module", params=["tada", "llasa", "dia"])
def speaking(request, tiny_model, tmp_path_factory):
    """A model of each family that brings steps of its own, and a text of several of them."""
    import sys
    from pathlib import Path

    import unisono

    if request.param == "tada":
        return tiny_model, "Hello there. [rate:1.3]How are you? Fine[/rate] I hope. [pause:0.4s]Good."
    sys.path.insert(0, str(Path(__file__).parents[2] / "families" / request.param))
    folder = __import__(f"{request.param}_toy").write_toy(tmp_path_factory.mktemp("search") / "toy")
    if request.param == "llasa":
        card = json.loads((folder / "unisono.json").read_text())
        (folder / "unisono.json").write_text(json.dumps(card | {"chunk_characters": 26}))
        return unisono.load(folder, device="cpu"), "Hello there, how are you? Well, I hope."
    model = unisono.load(folder, device="cpu")
    return model, "[S1] Hello there, you are early today. [S2] Am I? I did not know that. It is the bus. [S1] Good."


def all_draws_0(space):
    path = ()
    while not space.finished(path):
        path = (*path, 0)
        space.extend(path)
    return path


def test_a_search_begins_where_say_does(speaking):
    model, text = speaking
    space, said = model.search_space(text, seed=3), model.say(text, seed=3)
    path = all_draws_0(space)
    speech = space.speech(path)
    assert len(path) > 1 and np.array_equal(speech.audio, said.audio), "sample by sample"
    assert speech.words == said.words and speech.tokens == said.tokens and speech.text == text
    assert space.plain() is None and space.calls == len(path)
    assert len(space.speech(path[:1]).audio) < len(said.audio) and not len(model.search_space(text).speech(()).audio)


def test_a_search_of_steps_is_never_worse_and_reuses_draws(speaking):
    model, text = speaking
    plain = shortness(model.say(text, seed=3), text)
    found = [beam_search(model.search_space(text, seed=3), shortness, beams=n, expansions=2) for n in (1, 2)]
    assert plain <= found[0].score <= found[1].score and plain in found[0].scores
    assert set(found[0].scores) <= set(found[1].scores) and found[1].model_calls >= found[0].model_calls


@pytest.mark.parametrize("speaking", ["dia"], indirect=True)
def test_turns_of_a_dialogue_keep_their_speakers(speaking):
    model, text = speaking
    pieces = [piece.text for piece in model.search_space(text).pieces]
    assert len(pieces) > 1 and all(piece.startswith("[S") for piece in pieces)
    assert any("[S2]" in piece and "It is the bus." in piece for piece in pieces)


@pytest.mark.parametrize("speaking", ["llasa"], indirect=True)
def test_drafted_codes_cannot_be_searched_step_by_step(speaking):
    model, text = speaking
    with pytest.raises(InputError, match="search with best-of"):
        search(model, text, Search(beams=2, verifiers=["duration"]), accelerate="lookup")
    assert search(model, text, Search(best_of=1, verifiers=["duration"]), accelerate="lookup").model_calls == 1


pytestmark = pytest.mark.filterwarnings("ignore::unisono.errors.GenerationWarning")


# Verifiers


def test_word_errors_of_wholes_and_beginnings():
    wanted = ["the", "cat", "sat", "on", "the", "mat"]
    assert word_error_rate(wanted, wanted) == 0
    assert word_error_rate(wanted, ["the", "cat", "sat", "on", "a", "mat"]) == pytest.approx(1 / 6)
    assert word_error_rate(wanted, []) == 1
    assert word_error_rate(wanted, ["the", "cat"]) == pytest.approx(4 / 6)
    assert word_error_rate(wanted, ["the", "cat"], whole=False) == 0
    assert word_error_rate(wanted, ["the", "dog"], whole=False) == pytest.approx(1 / 2)
    assert word_error_rate(wanted, ["dogs", "run", "fast", "and", "far"], whole=False) == 1


def test_a_recogniser_may_be_any_function():
    speech = Speech(np.ones(RATE, np.float32), RATE, "", [], [])
    assert WordErrors(lambda audio: "Hello THERE!")(speech, "Hello there.") == 0
    assert WordErrors(lambda audio: "a b c d e f")(speech, "Hello.") == -1  # never below


def test_pocketsphinx_prefers_the_speech_of_the_text():
    pytest.importorskip("pocketsphinx", reason="the extra [eval] is not installed")
    from pathlib import Path

    from unisono.audio import read_audio

    clip = Path(__file__).parents[3] / "recipes" / "smoke" / "audio" / "flite-slt-000310.ogg"
    samples, rate = read_audio(clip)
    judge = WordErrors()
    speech = Speech(samples, rate, "", [], [])
    said, other = "Three months comprised thirteen weeks.", "The Crofts who rent Kellynch?"
    assert judge(speech, said) > judge(speech, other)


def test_likeness_prefers_the_same_voice(recording):
    from unisono.audio import read_audio

    samples, rate = read_audio(recording)
    judge = SpeakerLikeness(Audio(samples, rate))
    noise = np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32) * 0.1
    same, other = (Speech(sound, rate, "", [], []) for sound in (samples[rate // 2 :], noise))
    assert judge(same, "") > 0.8 > judge(other, "")
    assert judge(Speech(samples[:100], rate, "", [], []), "") == 0


def test_lengths_that_no_one_speaks_in():
    judge = DurationPlausibility(10)
    text = "a" * 20  # two seconds
    at = {
        seconds: judge(Speech(np.zeros(seconds * RATE, np.float32), RATE, "", [], []), text) for seconds in (1, 2, 3, 9)
    }
    assert at[2] == 0 > at[3] > at[1] > at[9] == -1
    assert judge(Speech(np.zeros(RATE, np.float32), RATE, "", [], []), text, whole=False) == 0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "needs a verifier"),
        (["loudness"], "no verifier 'loudness'"),
        (["wer:x"], "no weight"),
        (["similarity"], "voice"),
    ],
)
def test_verifiers_that_cannot_be_had(names, message):
    with pytest.raises(InputError, match=message):
        make_verifier(names, Dice(), None, lambda audio: "")


def test_a_search_is_of_one_kind():
    for how in (Search(), Search(best_of=2, beams=2)):
        with pytest.raises(InputError, match="one of the two"):
            search(Dice(), "Hello.", how)
    found = search(
        Dice(), TEXT, Search(beams=2, expansions=2, verifiers=["duration", "wer:0.5"], asr=lambda audio: TEXT)
    )
    assert found.model_calls >= 4 and -1 <= found.score <= 0


def test_the_model_s_own_rejection_works_inside_of_every_draw(tiny_model):
    found = best_of(tiny_model, "hello", shortness, seed=1, speaker_threshold=-1.0).best(2)
    assert len(found.speech.speaker_scores) == 1 and found.model_calls == 2


def test_the_command_line_reports_the_search(tiny_folder, tmp_path, monkeypatch, capsys):
    from unisono.cli import main

    monkeypatch.chdir(tmp_path)
    model = ["--model", str(tiny_folder)]
    assert main(["say", "hello there", *model, "--best-of", "3", "--verifier", "duration"]) == 0
    out = capsys.readouterr().out
    assert "search: score " in out and "3 model calls, 3 verifier calls" in out
    assert main(["say", "hello there", *model, "--verifier", "duration", "-o", "b.wav"]) == 2
    assert "add --best-of N or --beams N" in capsys.readouterr().err
    assert main(["say", "hello there", *model, "--best-of", "0", "--verifier", "duration", "-o", "b.wav"]) == 2
    assert not (tmp_path / "b.wav").exists()
