"""Voice and token files: what was saved comes back, and every inconsistency is one sentence."""

import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from unisono.errors import CheckpointError
from unisono.files import load_tokens, load_voice, read_header, save_tokens, save_voice
from unisono.interface import AlignedTokens, Voice


def make_tokens(**changes):
    values = {
        "text_ids": torch.tensor([3, 1, 4]),
        "positions": torch.tensor([2, 5, 9]),
        "frames": 12,
        "samples": 5700,
        "sample_rate": 24000,
        "text": "hé \n“llo”",
        "family": "tada",
        "model": "builtin",
        "vectors": torch.randn(3, 8, generator=torch.Generator().manual_seed(0)),
        "extras": {"speaker": torch.ones(4)},
    }
    return AlignedTokens(**{**values, **changes})


def same(a, b):
    for field in ("frames", "samples", "sample_rate", "text", "family", "model"):
        assert getattr(a, field) == getattr(b, field)
    for field in ("text_ids", "positions", "vectors", "codes"):
        x, y = getattr(a, field), getattr(b, field)
        assert (x is None and y is None) or torch.equal(x, y)
    assert {k: v.tolist() for k, v in a.extras.items()} == {k: v.tolist() for k, v in b.extras.items()}


def test_tokens_round_trip(tmp_path):
    save_tokens(tmp_path / "t.safetensors", make_tokens())
    same(load_tokens(tmp_path / "t.safetensors"), make_tokens())
    header = read_header(tmp_path / "t.safetensors")
    assert set(header) >= {"family", "model", "text", "sample_rate", "frames"}
    assert all(isinstance(value, str) for value in header.values())


def test_codes_round_trip(tmp_path):
    tokens = make_tokens(vectors=None, codes=torch.arange(6).reshape(3, 2))
    save_tokens(tmp_path / "t.safetensors", tokens)
    same(load_tokens(tmp_path / "t.safetensors"), tokens)


def test_voice_round_trip(tmp_path):
    voice = Voice(name="me", tokens=make_tokens(), language="en", speaker="s", consent="mine", created="2026-11-20")
    save_voice(tmp_path / "v.safetensors", voice)
    back = load_voice(tmp_path / "v.safetensors")
    same(back.tokens, voice.tokens)
    assert (back.name, back.speaker, back.consent, back.created) == ("me", "s", "mine", "2026-11-20")
    same(load_tokens(tmp_path / "v.safetensors"), voice.tokens)


def test_a_token_file_is_a_voice_named_after_its_file(tmp_path):
    save_tokens(tmp_path / "anna.safetensors", make_tokens())
    assert load_voice(tmp_path / "anna.safetensors").name == "anna"


WRONG = {
    "descending": ({"positions": torch.tensor([2, 9, 5])}, "positions must increase"),
    "beyond": ({"positions": torch.tensor([2, 9, 13])}, "positions must increase"),
    "zero": ({"positions": torch.tensor([0, 2, 3])}, "positions must increase"),
    "count": ({"text_ids": torch.tensor([1, 2])}, "differ in number"),
    "nan": ({"vectors": torch.full((3, 8), float("nan"))}, "NaN"),
    "shape": ({"vectors": torch.ones(3)}, r"must be \[T\]"),
    "negative": ({"text_ids": torch.tensor([1, -2, 3])}, "negative"),
    "rate": ({"sample_rate": 0}, "sample_rate is '0'"),
    "frames": ({"frames": "many"}, "frames is 'many'"),
    "huge": ({"frames": 10**11}, "hours"),
    "nothing": ({"vectors": None}, "it lacks vectors or codes"),
    "no tokens": (
        {"text_ids": torch.ones(0).long(), "positions": torch.ones(0).long(), "vectors": torch.ones(0, 8)},
        "no tokens",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("load", [load_tokens, load_voice])
def test_inconsistent_files(tmp_path, name, load):
    changes, says = WRONG[name]
    save_tokens(tmp_path / "t.safetensors", make_tokens(**changes))
    with pytest.raises(CheckpointError, match=says) as caught:
        load(tmp_path / "t.safetensors")
    assert "\n" not in str(caught.value)


def test_foreign_and_damaged_files(tmp_path):
    path = tmp_path / "t.safetensors"
    save_tokens(path, make_tokens())
    content = path.read_bytes()
    for wrong in (b"", b"text", content[:40], content[:-8], pickle.dumps([1])):
        path.write_bytes(wrong)
        with pytest.raises(CheckpointError):
            load_tokens(path)
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(CheckpointError, match="no token or voice file: it lacks family"):
        load_tokens(path)
    for name in (tmp_path, tmp_path / "missing.safetensors"):
        with pytest.raises(CheckpointError):
            load_tokens(name)


def test_names_are_checked_and_nothing_is_left(tmp_path):
    for name in ("t.pt", "no/t.safetensors"):
        with pytest.raises(CheckpointError):
            save_tokens(tmp_path / name, make_tokens())
    assert not list(tmp_path.iterdir())


def test_views_are_stored_as_they_look(tmp_path):
    wide = torch.arange(48.0).reshape(3, 16)
    save_tokens(tmp_path / "t.safetensors", make_tokens(vectors=wide[:, ::2]))
    assert torch.equal(load_file(tmp_path / "t.safetensors")["vectors"], wide[:, ::2])
