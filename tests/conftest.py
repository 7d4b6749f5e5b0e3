"""A tiny model folder with random weights, laid out like the built-in one, and a recording to go with it."""

import json
import os
from pathlib import Path

# One thread, in processes that tests start too: threads that share tiny products on a busy machine mostly wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import settings

settings.register_profile("busy", deadline=None)  # no time is asserted: the machine may have other work
settings.load_profile("busy")
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

RATE = 24000


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory):
    """A place for a user's own voices, so that those of whoever runs the tests play no part."""
    folder = tmp_path_factory.mktemp("home")
    kept = os.environ.get("UNISONO_HOME")
    os.environ["UNISONO_HOME"] = str(folder)
    yield folder
    os.environ.pop("UNISONO_HOME") if kept is None else os.environ.update(UNISONO_HOME=kept)


@pytest.fixture
def without_kernels(monkeypatch):
    """As on a machine that has no compiled kernels."""
    from unisono.lm.native import loaded

    monkeypatch.setenv("UNISONO_KERNELS", "off")
    loaded.cache_clear()
    yield
    monkeypatch.undo()
    loaded.cache_clear()


@pytest.fixture(params=["kernels", "torch"])
def kernels(request):
    """Both: with compiled kernels, where this machine has any, and without."""
    if request.param == "torch":
        request.getfixturevalue("without_kernels")
    return request.param


TRANSCRIPT = "Hello there, this is a test."


def build_tiny_model(folder: Path) -> Path:
    """Language model, encoder, decoder, aligner, tokenizer, voice and card, a few hundred kilobytes in all."""
    from unisono.families.tada import Aligner, Decoder, Encoder, TadaConfig, TadaForCausalLM
    from unisono.families.tada.aligner import AlignerConfig
    from unisono.families.tada.decoder import DecoderConfig
    from unisono.families.tada.encoder import EncoderConfig
    from unisono.text import CharacterTokenizer

    torch.manual_seed(0)
    tokenizer = CharacterTokenizer()
    folder.mkdir()
    attention = {
        "hidden_dim": 16,
        "embed_dim": 8,
        "num_attn_layers": 1,
        "num_attn_heads": 2,
        "attn_dim_feedforward": 16,
    }
    language_model = TadaForCausalLM(
        TadaConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=4096,
            tie_word_embeddings=True,
            acoustic_dim=8,
            num_time_classes=16,
            head_layers=1,
            head_ffn_ratio=1.0,
        )
    )
    for name, value in language_model.named_parameters():  # trained heads start at zero, which would hide mistakes
        if "adaLN" in name or "final_layer" in name:
            torch.nn.init.normal_(value, std=0.3)
    language_model.save_pretrained(folder, dtype=torch.float16)
    encoder = EncoderConfig(**attention, frontend="log_mel", vector_norm=True, std=0.3)
    Encoder(encoder).save_pretrained(folder / "encoder", dtype=torch.float16)
    decoder = DecoderConfig(
        **attention, head="source_filter", mark_context=True, vocoder_channels=16, vocoder_blocks=1, vocoder_inner=16
    )
    Decoder(decoder).save_pretrained(folder / "decoder", dtype=torch.float16)
    aligner = AlignerConfig(
        vocab_size=tokenizer.vocab_size,
        eos_token_id=tokenizer.eos_id,
        frontend="log_mel",
        score="log_softmax",
        mel_ctc_config={"channels": 8, "blocks": 1},
        least_agreement=0.0,  # chance is all it knows
    )
    Aligner(aligner).save_pretrained(folder / "aligner", dtype=torch.float16)
    (folder / "tokenizer").mkdir()
    tokenizer.save(folder / "tokenizer")
    card = {"family": "tada", "name": "tiny", "options": {"steps": 2}, "max_gap": 12}
    (folder / "unisono.json").write_text(json.dumps(card))
    return folder


def make_recording(path: Path, seconds: float = 3.0, rate: int = RATE) -> Path:
    """Something with the rhythm of speech: a buzz whose loudness rises and falls four times a second."""
    at = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * at) / k for k in range(1, 20))
    loud = np.clip(np.sin(2 * np.pi * 4 * at), 0, 1) * (at > 0.2) * (at < seconds - 0.3)
    soundfile.write(path, 0.2 * buzz * loud, rate)
    return path


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at 24 kHz that go with `TRANSCRIPT`."""
    return make_recording(tmp_path_factory.mktemp("sound") / "ref.wav")


@pytest.fixture(scope="session")
def transcript() -> str:
    """What `recording` is said to say."""
    return TRANSCRIPT


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, recording: Path) -> Path:
    """The tiny model's folder, with one ready voice. Not to be changed: copy it first."""
    from unisono import hub

    folder = build_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
    voice = hub.load(folder, device="cpu").voice(recording, text=TRANSCRIPT)
    voice.name = voice.speaker = "someone"
    (folder / "voices").mkdir()
    voice.save(folder / "voices" / "someone.safetensors")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path):
    """The tiny model, loaded once."""
    from unisono import hub

    return hub.load(tiny_folder, device="cpu")
