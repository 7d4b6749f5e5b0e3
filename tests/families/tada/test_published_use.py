"""Code written for the published package, with its imports changed: what it loads finds its other parts by itself."""

import shutil

import pytest
import torch

from unisono import hub
from unisono.errors import CheckpointError, InputError
from unisono.families.tada import Aligner, Encoder, InferenceOptions, TadaForCausalLM

TEXT = "Hello there, this is a test."
OPTIONS = InferenceOptions(num_flow_matching_steps=2)


@pytest.fixture
def places(published, tmp_path, monkeypatch):
    """The model's folder and the codec's, which brings the tokenizer that is otherwise in the hub's cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for folder in (published, published.parent / "tada-codec"):
        shutil.copytree(folder, tmp_path / folder.name)
    model, codec = tmp_path / published.name, tmp_path / "tada-codec"
    shutil.copy(model / "tokenizer.json", codec)
    return model, codec


@pytest.fixture
def sound():
    return 0.3 * torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))


def test_the_published_script_runs(places, sound):
    model, codec = places
    encoder = Encoder.from_pretrained(str(codec), subfolder="encoder").to("cpu")
    speaker = TadaForCausalLM.from_pretrained(str(model), torch_dtype=torch.float32).to("cpu")
    prompt = encoder(sound, text=[TEXT], sample_rate=16000)
    output = speaker.generate(prompt=prompt, text="Please call Stella.", inference_options=OPTIONS)
    assert len(output.audio) == 1 and len(output.audio[0]) > 480 and torch.isfinite(output.audio[0]).all()
    assert prompt.text_tokens.shape == prompt.token_positions.shape and prompt.audio.shape[1] == 48000


def test_parts_are_those_of_the_same_place(places, sound):
    model, codec = places
    found = Encoder.from_pretrained(codec / "encoder")  # named with its own folder: the codec is the one around it
    given = Encoder.from_pretrained(codec, subfolder="encoder")
    aligner = Aligner.from_pretrained(codec, subfolder="aligner")
    given.attach(aligner, TadaForCausalLM.from_pretrained(model).tokenizer)
    prompts = [encoder(sound, [TEXT], sample=False) for encoder in (found, given)]
    assert torch.equal(prompts[0].token_positions, prompts[1].token_positions)
    assert torch.equal(prompts[0].token_values, prompts[1].token_values)
    assert torch.equal(aligner(sound, text=[TEXT]).token_positions, found.aligner(sound, text=TEXT).token_positions)


def test_the_speaker_network_is_found_for_its_scorer(places, sound):
    model, codec = places
    speaker = TadaForCausalLM.from_pretrained(model)
    prompt = Encoder.from_pretrained(codec, subfolder="encoder")(sound, text=[TEXT])
    options = InferenceOptions(num_flow_matching_steps=2, num_acoustic_candidates=2, scorer="spkr_verification")
    assert len(speaker.generate(prompt, "Hello.", inference_options=options).audio[0])
    shutil.rmtree(codec / "spkr-verf")
    with pytest.raises(CheckpointError, match="spkr-verf"):
        TadaForCausalLM.from_pretrained(model).generate(prompt, "Hello.", inference_options=options)


def test_a_language_picks_the_aligner_and_unknown_ones_are_refused(places, sound):
    codec = places[1]
    encoder = Encoder.from_pretrained(codec, subfolder="encoder", language="pl")
    with pytest.raises(CheckpointError, match="aligner-pl"):
        encoder(sound, text=[TEXT])
    shutil.copytree(codec / "aligner", codec / "aligner-pl")
    assert encoder(sound, text=[TEXT]).token_values.shape[1] > 0
    with pytest.raises(InputError, match="language"):
        Encoder.from_pretrained(codec, subfolder="encoder", language="xx")


def test_missing_parts_are_named_when_they_are_needed(places, sound):
    model, codec = places
    encoder, speaker = Encoder.from_pretrained(codec, subfolder="encoder"), TadaForCausalLM.from_pretrained(model)
    prompt = encoder(sound, text=[TEXT])
    shutil.rmtree(codec)
    with pytest.raises(CheckpointError, match="decoder"):
        speaker.generate(prompt, "Hello.", inference_options=OPTIONS)


def test_a_model_that_was_built_and_not_loaded_looks_nowhere(places, sound):
    encoder = Encoder.from_pretrained(places[1], subfolder="encoder")
    with pytest.raises(InputError, match="no aligner"):
        Encoder(encoder.config)(sound, text=[TEXT])
    with pytest.raises(CheckpointError, match="has no decoder"):
        _ = TadaForCausalLM(TadaForCausalLM.from_pretrained(places[0]).config).decoder


def test_a_model_without_a_speaker_network_knows_it(tiny_folder, places):
    assert not hub.load(tiny_folder, device="cpu").model.can_verify
    assert TadaForCausalLM.from_pretrained(places[0]).can_verify
