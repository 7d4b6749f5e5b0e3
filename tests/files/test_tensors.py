"""Tensor files piece by piece: what the library writes, read exactly; what we write, as the library would."""

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from unisono.errors import CheckpointError
from unisono.files import save_tensors, tensors
from unisono.files.tensors import FORMATS, TensorFile

PIECE = 64  # bytes, so that small tensors take several


def make_tensors():
    """One of every number format, odd sizes, nothing, a scalar, and a name beyond ASCII."""
    torch.manual_seed(0)
    made = {f"a {name}": (100 * torch.randn(7, 5)).to(getattr(torch, name)) for name in FORMATS.values()}
    return {**made, "ü": torch.randn(1), "scalar": torch.tensor(2.5), "nothing": torch.zeros(0, 3)}


@pytest.fixture(params=[PIECE, tensors.PIECE_BYTES], ids=["small pieces", "one piece"])
def pieces(request, monkeypatch):
    monkeypatch.setattr(tensors, "PIECE_BYTES", request.param)


def test_files_are_what_the_library_would_write(tmp_path, pieces):
    made = make_tensors()
    save_tensors(tmp_path / "a.safetensors", made, {"format": "pt"})
    assert (tmp_path / "a.safetensors").read_bytes() == save(made, {"format": "pt"})
    save_tensors(tmp_path / "b.safetensors", made, {str(i): "x" for i in range(9)})
    first = (tmp_path / "b.safetensors").read_bytes()
    save_tensors(tmp_path / "b.safetensors", made, {str(i): "x" for i in range(9)})
    assert first == (tmp_path / "b.safetensors").read_bytes()  # which the library does not promise


def test_views_and_shared_memory_are_written_whole(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    made = {"rows": base[1:], "turned": base.T, "same": base, "alias": base}
    save_tensors(tmp_path / "a.safetensors", made, {})
    for name, value in load_file(tmp_path / "a.safetensors").items():
        assert torch.equal(value, made[name]), name


def test_tensors_are_read_exactly(tmp_path, pieces):
    made = make_tensors()
    save_file(made, tmp_path / "a.safetensors", {"key": "value"})
    with TensorFile(tmp_path / "a.safetensors") as file:
        assert file.metadata == {"key": "value"} and set(file.entries) == set(made)
        for name, value in made.items():
            read = file.read(name)
            assert read.dtype == value.dtype and torch.equal(read, value)
            raw = b"".join(map(bytes, file.pieces(name)))
            assert raw == value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
            if value.is_floating_point():
                assert torch.equal(file.read(name, torch.float32), value.float())


def test_what_was_read_does_not_hang_on_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.arange(5.0)}, path)
    with TensorFile(path) as file:
        read = file.read("a")
        path.write_bytes(b"\0" * path.stat().st_size)  # a mapped tensor would see this
    assert torch.equal(read, torch.arange(5.0))


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.arange(500.0)}, path)
    with TensorFile(path) as file:
        with path.open("r+b") as other:
            other.truncate(700)
        with pytest.raises(CheckpointError, match="cut short"):
            file.read("a")
        with pytest.raises(CheckpointError, match="cut short"):
            list(file.pieces("a"))


def test_formats_we_do_not_know_are_seen_but_not_read(tmp_path):
    save_file({"a": torch.ones(4).to(torch.float8_e4m3fn)}, tmp_path / "a.safetensors")
    with TensorFile(tmp_path / "a.safetensors") as file:
        assert file.entries["a"].dtype is None


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*args):
        args[0].write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors, "write_tensors", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_tensors(tmp_path / "a.safetensors", {"a": torch.ones(2)}, {})
    assert list(tmp_path.iterdir()) == []
