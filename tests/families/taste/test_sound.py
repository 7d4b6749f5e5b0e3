"""TASTE from units to sound: the published networks, their files, and our own units."""

import pickle

import numpy as np
import pytest
import torch

from unisono.errors import CheckpointError, InputError
from unisono.families.taste.nearby import near_marks
from unisono.families.taste.sound.flow import Flow, FlowConfig, frames_of_units
from unisono.families.taste.sound.hift import HiFT, HiFTConfig
from unisono.families.taste.sound.load import from_tensors, load_generator, load_sound
from unisono.families.taste.sound.networks import S3Tokenizer, SpeakerNetwork, open_network
from unisono.families.taste.sound.unit_codec import UnitCodec, UnitCodecConfig

ESTIMATOR = {
    "in_channels": 16,
    "out_channels": 4,
    "channels": (8, 8),
    "n_blocks": 1,
    "num_mid_blocks": 1,
    "num_heads": 2,
    "attention_head_dim": 4,
    "groupnorm_groups": 2,
}
FLOW = FlowConfig(
    vocab_size=20,
    input_size=8,
    mel=4,
    spk_embed_dim=6,
    encoder={"blocks": 1, "heads": 2, "linear_units": 8},
    estimator=ESTIMATOR,
    steps=2,
)
HIFT = HiFTConfig(in_channels=4, base_channels=8, f0_cond_channels=4)


def tiny() -> dict[str, torch.Tensor]:
    """Random weights of a tiny flow decoder and HiFT under the published names."""
    torch.manual_seed(0)
    flow, hift = Flow(FLOW).state_dict(), HiFT(HIFT).state_dict()
    return {f"flow.{name}": value for name, value in flow.items()} | {f"hift.{name}": v for name, v in hift.items()}


def test_flow_and_vocoder_make_sound_of_any_number_of_units_and_the_seed_decides():
    flow, hift = from_tensors(tiny(), FLOW, HIFT)
    for count in (1, 2, 5):
        units, speaker = torch.arange(count)[None], torch.ones(1, 6)

        def speak(seed, units=units, speaker=speaker):
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                return hift(flow(units, speaker, generator=generator), generator=generator)

        assert speak(1).shape == (1, 256 * frames_of_units(count))
        assert torch.equal(speak(1), speak(1)) and not torch.equal(speak(1), speak(2))
        assert speak(1).abs().max() <= 0.99


@pytest.mark.parametrize(
    "units", [torch.zeros(1, 0, dtype=torch.long), torch.tensor([[3, 20]]), torch.zeros(2, 3).long()]
)
def test_units_that_are_none_are_refused(units):
    flow, _ = from_tensors(tiny(), FLOW, HIFT)
    with pytest.raises(InputError, match="unit"):
        flow(units, torch.ones(1, 6))


def test_the_length_of_a_speaker_vector_does_not_matter():
    flow, _ = from_tensors(tiny(), FLOW, HIFT)
    units, speaker = torch.tensor([[1, 2, 3]]), torch.randn(1, 6)
    noise = torch.randn(1, 4, frames_of_units(3))
    with torch.no_grad():
        assert torch.allclose(flow(units, speaker, noise), flow(units, 7 * speaker, noise), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.pop("flow.encoder_proj.bias"), "flow.encoder_proj.bias is missing"),
        (lambda t: t.update({"hift.more": torch.ones(1)}), "hift.more is not known"),
        (lambda t: t.update({"hift.conv_post.bias": torch.ones(3)}), "hift.conv_post.bias is"),
    ],
)
def test_files_that_do_not_fit_are_named(change, named):
    tensors = tiny()
    change(tensors)
    with pytest.raises(CheckpointError, match=named):
        from_tensors(tensors, FLOW, HIFT)


def test_a_pickle_is_read_for_tensors_only(tmp_path):
    torch.save(tiny(), tmp_path / "voice_generator.pth")
    with pytest.raises(CheckpointError, match="does not fit"):  # read, but not of the published size
        load_generator(tmp_path)
    (tmp_path / "voice_generator.pth").write_bytes(pickle.dumps(print, protocol=2))
    with pytest.raises(CheckpointError, match="damaged, or holds more than tensors"):
        load_generator(tmp_path)
    (tmp_path / "voice_generator.pth").unlink()
    with pytest.raises(CheckpointError, match="has no voice_generator"):
        load_generator(tmp_path)


def test_a_folder_without_sound_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="neither sound/ nor cosyvoice/"):
        load_sound(tmp_path)


# ONNX networks, written by hand: what they compute does not matter, only how they are called.


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer; all numbers here are below 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    size = len(value)
    length = bytes([size]) if size < 128 else bytes([size % 128 + 128, size // 128])
    return bytes([number << 3 | 2]) + length + value


def tensor(name: str, kind: int, shape: list[int | str]) -> bytes:
    """ValueInfoProto."""
    sizes = b"".join(field(1, field(2, d.encode()) if isinstance(d, str) else bytes([8, d])) for d in shape)
    return field(1, name.encode()) + field(2, field(1, field(1, kind) + field(2, sizes)))


def network(operation: str, inputs: list[bytes], output: bytes, attributes: dict[str, int]) -> bytes:
    """ModelProto of one node that reads "x" and writes "y"."""
    given = b"".join(
        field(5, field(1, name.encode()) + field(3, value) + bytes([0xA0, 0x01, 2]))  # type: an integer
        for name, value in attributes.items()
    )
    node = field(1, b"x") + field(2, b"y") + field(4, operation.encode()) + given
    graph = field(1, node) + field(2, b"g") + b"".join(field(11, value) for value in inputs) + field(12, output)
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


FLOAT, INT32, INT64 = 1, 6, 7


def test_s3_units_come_from_a_network_by_path(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra [taste]")
    inputs = [tensor("x", FLOAT, [1, "f", "t"]), tensor("n", INT32, [1])]
    path = tmp_path / "s3.onnx"
    path.write_bytes(network("ArgMax", inputs, tensor("y", INT64, [1, 1, "t"]), {"axis": 1}))
    tone = torch.sin(torch.arange(16000) * 0.05)
    units = S3Tokenizer(path).units(tone)
    assert units.shape == (100,) and units.dtype == torch.int64
    assert len(units[2:-2].unique()) == 1  # a steady tone is loudest in one band
    with pytest.raises(InputError, match="cut it into pieces"):
        S3Tokenizer(path).units(torch.zeros(16000 * 31))
    with pytest.raises(InputError, match="needs more"):
        S3Tokenizer(path).units(torch.zeros(100))
    with pytest.raises(CheckpointError, match="has 2 inputs"):
        SpeakerNetwork(path)


def test_speaker_vectors_come_from_a_network_by_path(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra [taste]")
    path = tmp_path / "speaker.onnx"
    path.write_bytes(network("Relu", [tensor("x", FLOAT, [1, "t", 80])], tensor("y", FLOAT, [1, "t", 80]), {}))
    vector = SpeakerNetwork(path).vector(torch.randn(400))
    assert vector.shape == (80,) and vector.dtype == torch.float32
    with pytest.raises(InputError, match="25 ms"):
        SpeakerNetwork(path).vector(torch.zeros(399))


def test_networks_that_cannot_be_run_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="missing"):
        open_network(tmp_path / "none.onnx", 1)
    pytest.importorskip("onnxruntime", reason="the extra [taste]")
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(CheckpointError, match="no network that onnxruntime can run"):
        open_network(tmp_path / "bad.onnx", 1)


def test_without_onnxruntime_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    import sys

    (tmp_path / "s3.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CheckpointError, match=r"pip install .unisono\[taste\]"):
        open_network(tmp_path / "s3.onnx", 2)


# Our own units


@pytest.fixture(scope="module")
def codec() -> UnitCodec:
    """A small unit codec with random weights."""
    torch.manual_seed(0)
    return UnitCodec(
        UnitCodecConfig(levels=(4, 3, 2), channels=16, front_blocks=1, width=256, blocks=1, inner=8)
    ).eval()


def test_units_count_and_every_unit_has_digits_of_its_own(codec):
    assert codec.vocabulary == 24
    digits = codec.digits_of(torch.arange(24)[None])
    assert len(digits[0].unique(dim=0)) == 24
    assert torch.equal((digits.long() * codec.places).sum(-1)[0], torch.arange(24))
    with pytest.raises(InputError, match="24 units"):
        codec.digits_of(torch.tensor([[24]]))


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (480, 1), (481, 2), (24000, 50)])
def test_one_unit_for_every_frame_begun(codec, samples, frames):
    assert codec.encode(torch.randn(1, samples)).shape == (1, frames)


def test_one_sample_moves_only_units_nearby(codec):
    torch.manual_seed(1)
    wave = 0.1 * torch.randn(1, 48000)
    other = wave.clone()
    other[0, 24000] += 0.5
    moved = (codec.digits(wave) - codec.digits(other)).abs().amax(-1)[0].nonzero().flatten()
    assert len(moved) and moved.min() >= 50 - codec.front.margin and moved.max() <= 50 + codec.front.margin


def test_the_gradient_passes_rounding(codec):
    digits = torch.tensor([[[0.3, 1.4, 0.9]]], requires_grad=True)
    rounded = codec.round(digits)
    rounded.sum().backward()
    assert rounded.tolist() == [[[0.0, 1.0, 1.0]]] and digits.grad.tolist() == [[[1.0, 1.0, 1.0]]]


def test_units_sound_through_the_built_in_decoder(codec, tmp_path):
    from unisono.hub import builtin_folder

    (tmp_path / "model").mkdir()
    (tmp_path / "decoder").symlink_to(builtin_folder() / "decoder")
    codec.save_pretrained(tmp_path / "model" / "sound")
    sound = load_sound(tmp_path / "model")
    wave = torch.from_numpy(np.random.default_rng(0).normal(size=30000).astype(np.float32)) * 0.1
    units = sound.units(wave)
    made = sound.decode(units, sound.speaker(wave), seed=1)
    assert units.shape == (63,) and made.shape == (63 * 480,) and sound.speaker(wave).shape == (60,)
    assert torch.equal(made, sound.decode(units, sound.speaker(wave), seed=2))
    assert len(sound.decode(units[:0], sound.speaker(wave))) == 0


def test_tokens_attend_frames_near_their_marks():
    positions, lengths = torch.tensor([[2, 5, 9], [3, 0, 0]]), torch.tensor([3, 1])
    near = near_marks(positions, lengths, torch.tensor([10, 6]), 12, window=1)
    assert near.shape == (2, 3, 12)
    assert near[0, 0].nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 5]  # frames 1 to 6
    assert near[0, 2].nonzero().flatten().tolist() == [7, 8, 9]  # frames 8 to 10, where the recording ends
    assert near[1, 0].nonzero().flatten().tolist() == [1, 2, 3, 4, 5]
    assert near.any(-1).all()  # attention over nothing would be NaN
