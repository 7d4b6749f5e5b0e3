"""Speed, rates, pauses, takes and caps of `say`, with a tiny random model: what must hold for any weights."""

import itertools
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from unisono import hub
from unisono.errors import CheckpointError, GenerationError, GenerationWarning, InputError
from unisono.families.tada import sentence
from unisono.families.tada.speaker import AcousticSpkrVerf, AcousticSpkrVerfConfig

TEXT = "Hello there, how are you today?"


def gaps(speech):
    return [token.gap for token in speech.tokens]


def test_a_sentence_hears_the_end_of_the_one_before(tiny_model, monkeypatch):
    text, heard = "One and two. Three and four.", []
    plan = sentence.plan_sentence
    monkeypatch.setattr(sentence, "plan_sentence", lambda *a, **kw: heard.append(a[1]) or plan(*a, **kw))
    monkeypatch.setattr(tiny_model, "card", replace(tiny_model.card, carry=5))
    speech = tiny_model.say(text, seed=2)
    (voice, second), end = heard, len(tiny_model.recordings.spell("One and two.").ids)
    assert second.ids == [*voice.ids, *(token.id for token in speech.tokens[end - 5 : end])]
    assert second.positions.diff().min() >= 1 and second.system == voice.system
    between = [token.position for token in speech.tokens[end - 6 : end]]
    assert second.positions.diff()[0, -5:].tolist() == np.diff(between).tolist()
    assert torch.equal(second.vectors[:, : voice.vectors.shape[1]], voice.vectors)
    streamed = np.concatenate([piece.audio for piece in tiny_model.stream(text, seed=2)])
    assert len(streamed) == len(speech.audio) and np.abs(streamed - speech.audio).max() <= 1e-4
    monkeypatch.setattr(tiny_model, "card", replace(tiny_model.card, carry=0))
    assert not np.array_equal(tiny_model.say(text, seed=2).audio, speech.audio)


@pytest.mark.parametrize("speed", [0.7, 1.2, 1.5])
def test_the_speed_asked_for_is_the_speed_spoken(tiny_model, speed):
    plain, changed = (tiny_model.say(TEXT, seed=1, speed=value) for value in (1.0, speed))
    first = sum(max(gap, 1) for gap in gaps(plain))
    # What is drawn may change a little with the vectors, which go with the new gaps; tiny random models most of all.
    assert first / sum(gaps(changed)) == pytest.approx(speed, rel=0.25)
    assert [token.id for token in changed.tokens] == [token.id for token in plain.tokens]


def test_two_pass_speed_still_works(tiny_model):
    one, two = (tiny_model.say(TEXT, seed=1, **{name: 2.0}) for name in ("speed", "speed_up_factor"))
    assert not np.array_equal(one.audio, two.audio) and len(two.tokens) == len(one.tokens)


def test_a_pause_lasts_as_long_as_asked_and_changes_no_token(tiny_model):
    plain = tiny_model.say("Hello there you.", seed=4)
    for seconds in (0.04, 0.3, 0.8, 3.0):
        paused = tiny_model.say(f"Hello [pause:{seconds}s]there you.", seed=4)
        assert [token.id for token in paused.tokens] == [token.id for token in plain.tokens]
        assert [word.text for word in paused.words] == ["Hello", "there", "you."]
        assert max(gaps(paused)) >= round(seconds * 50)
        assert max(gaps(paused)) <= round(seconds * 50) + 12 + 2  # what may be drawn beside it (max_gap)
        assert paused.words[1].end - paused.words[0].start >= seconds


@pytest.mark.parametrize("text", ["[pause:1s]Hello.", "Hello.[pause:1s]", "Hel[pause:1s]lo.", "One. [pause:1s] Two."])
def test_pauses_at_the_ends_inside_words_and_between_sentences(tiny_model, text):
    plain = tiny_model.say(text.replace("[pause:1s]", " " if "Hel[" in text else ""), seed=4)
    paused = tiny_model.say(text, seed=4)
    assert len(paused.tokens) == len(plain.tokens)
    assert paused.duration >= 1 + 0.02 * len(paused.tokens) / 2
    for a, b in itertools.pairwise(paused.tokens):
        assert a.position < b.position


def test_pauses_longer_than_the_model_has_classes_for(tiny_model):
    speech = tiny_model.say("One [pause:9s] two.", seed=4)
    assert max(gaps(speech)) >= 450 > tiny_model.model.config.num_time_classes


def test_a_rate_holds_in_its_range(tiny_model):
    slow = tiny_model.say("Good morning to [rate:0.25]everybody[/rate] here.", seed=2)
    inside = [token.gap for token in slow.tokens if token.text in "everybody"][-9:]
    assert [word.text for word in slow.words][3] == "everybody"
    ordinary = tiny_model.say("Good morning to everybody here.", seed=2)
    word, plain = (next(w for w in s.words if w.text == "everybody") for s in (slow, ordinary))
    assert word.end - word.start > 1.5 * (plain.end - plain.start) and len(inside) == 9


def test_a_runaway_sentence_is_cut_with_a_warning(tiny_model):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        whole = tiny_model.say(TEXT, seed=1)
    assert not [w for w in caught if issubclass(w.category, GenerationWarning)]
    with pytest.warns(GenerationWarning, match="token_seconds"):
        cut = tiny_model.say(TEXT, seed=1, token_seconds=0.05)
    count = len(cut.tokens)
    assert cut.duration < whole.duration and cut.duration <= (count + 4) * 0.05 + 0.1
    with pytest.warns(GenerationWarning):  # a pause that was asked for is kept
        paused = tiny_model.say(TEXT.replace(", ", ", [pause:2s]"), seed=1, token_seconds=0.05)
    assert max(gaps(paused)) >= 100


def test_takes_are_scored_and_the_best_is_kept(tiny_model):
    once = tiny_model.say("Hello there.", seed=3)
    assert once.speaker_scores == []
    easy = tiny_model.say("Hello there.", seed=3, speaker_threshold=-1.0)
    assert np.array_equal(easy.audio, once.audio) and [len(takes) for takes in easy.speaker_scores] == [1]
    with pytest.warns(GenerationWarning, match="speaker threshold"):
        hard = tiny_model.say("Hello there. And this.", seed=3, speaker_threshold=1.0, retries=2)
    assert [len(takes) for takes in hard.speaker_scores] == [3, 3]
    assert all(-1 <= score <= 1 for takes in hard.speaker_scores for score in takes)
    assert hard.speaker_scores[0][0] == easy.speaker_scores[0][0]
    with pytest.warns(GenerationWarning):
        again = tiny_model.say("Hello there. And this.", seed=3, speaker_threshold=1.0, retries=2)
    assert np.array_equal(again.audio, hard.audio)


def test_a_speaker_network_scores_where_there_is_one(tiny_folder):
    model = hub.load(tiny_folder, device="cpu")
    with pytest.raises(InputError, match="spkr-verf"):
        model.say("Hello.", candidates=2, scorer="spkr_verification")
    torch.manual_seed(0)
    model.model.attach(speaker_scorer=AcousticSpkrVerf(AcousticSpkrVerfConfig(input_dim=8, hidden_dim=8, embed_dim=4)))
    ranked = model.say("Hello.", seed=1, candidates=3, scorer="spkr_verification", speaker_threshold=-1.0)
    plain = model.say("Hello.", seed=1, candidates=3)
    assert not np.array_equal(ranked.audio, plain.audio) and -1 <= ranked.speaker_scores[0][0] <= 1


def test_without_a_voice_there_is_nothing_to_compare_with(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "m")
    shutil.rmtree(folder / "voices")
    with pytest.raises(InputError, match="voice"):
        hub.load(folder, device="cpu").say("Hello.", speaker_threshold=0.5)


def test_prompts_and_transition_steps_reach_the_model(tiny_model):
    plain = tiny_model.say("Hello there.", seed=1)
    for change in ({"system_prompt": "be kind"}, {"user_prompt": "say it"}, {"transition_steps": 1}):
        assert not np.array_equal(plain.audio, tiny_model.say("Hello there.", seed=1, **change).audio), change
    assert np.array_equal(plain.audio, tiny_model.say("Hello there.", seed=1, transition_steps=5).audio)


DAMAGE = ["model.layers.0.mlp.down_proj.weight", "acoustic_proj.weight", "prediction_head.final_layer.linear.weight"]


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_weights_stop_with_the_step(tiny_folder, name, value):
    model = hub.load(tiny_folder, device="cpu")
    with torch.no_grad():
        dict(model.model.named_parameters())[name].view(-1)[:5] = value
    with pytest.raises(GenerationError, match=r"step \d+ "):
        model.say("Hello there.")


def test_a_damaged_decoder_is_an_error(tiny_folder):
    model = hub.load(tiny_folder, device="cpu")
    with torch.no_grad():
        model.model.decoder.decoder_proj.weight.fill_(float("nan"))
    with pytest.raises(GenerationError, match="decoder"):
        model.say("Hello there.")
    with pytest.raises(GenerationError, match="decoder"):
        model.decode(model.default_voice.tokens)


def test_a_damaged_voice_is_an_error(tiny_folder):
    model = hub.load(tiny_folder, device="cpu")
    voice = model.default_voice
    voice.tokens.vectors[2, 3] = float("nan")
    with pytest.raises((GenerationError, CheckpointError)):
        model.say("Hello there.", voice=voice)


@pytest.fixture(scope="module")
def published(tiny_folder, tmp_path_factory):
    """The tiny model as it would be published: without a card of ours, with a decoder of convolutions."""
    from unisono.families.tada import Decoder
    from unisono.families.tada.decoder import DecoderConfig

    folder = tmp_path_factory.mktemp("published") / "tada-0b"
    shutil.copytree(tiny_folder, folder)
    (folder / "unisono.json").unlink()
    shutil.rmtree(folder / "voices")
    shutil.rmtree(folder / "decoder")
    torch.manual_seed(3)
    sizes = {"hidden_dim": 16, "embed_dim": 8, "num_attn_layers": 1, "num_attn_heads": 2, "attn_dim_feedforward": 16}
    Decoder(DecoderConfig(**sizes, wav_decoder_channels=32)).save_pretrained(folder / "decoder")
    return hub.load(folder, device="cpu")


@pytest.mark.parametrize("with_voice", [False, True])
def test_published_checkpoints_can_do_all_of_it(published, recording, transcript, with_voice):
    assert published.card.end_vector and published.card.pause_text == "" and published.card.transition_steps == 5
    voice = published.voice(recording, text=transcript) if with_voice else None
    options = {"voice": voice, "seed": 1, "steps": 2}
    plain = published.say("Hello there you.", **options)
    paused = published.say("Hello [pause:0.8s]there you.", **options)
    assert [token.id for token in paused.tokens] == [token.id for token in plain.tokens]
    assert max(gaps(paused)) >= 40 > 15 >= max(gaps(plain))
    slow, fast = (published.say("Hello there you.", speed=speed, **options) for speed in (0.25, 4.0))
    assert slow.duration > 1.5 * plain.duration > 2 * fast.duration
    rated = published.say("Hello [rate:0.25]there[/rate] you.", **options)
    assert rated.duration > plain.duration and len(rated.tokens) == len(plain.tokens)
    if with_voice:
        scored = published.say("Hello there you.", speaker_threshold=-1.0, **options)
        assert np.array_equal(scored.audio, plain.audio) and len(scored.speaker_scores[0]) == 1


def test_published_checkpoints_speak_on(published, recording, transcript):
    speech = published.continue_(recording, text=transcript, tokens=11, seed=1, steps=2, text_guidance=1.0)
    assert 1 <= len(speech.tokens) <= 11 and np.isfinite(speech.audio).all()
    whole = published.continue_(
        recording, text=transcript, tokens=11, seed=1, steps=2, text_guidance=1.0, with_prompt=True
    )
    assert np.array_equal(whole.audio[-len(speech.audio) :], speech.audio)
