"""Compiled kernels give the numbers of torch's modules, and a row's do not depend on what is beside it."""

import copy
import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
import torch

from unisono.lm.backbone import LlamaBackbone
from unisono.lm.head import FlowHead
from unisono.lm.llama import Llama, LlamaSizes
from unisono.lm.native import NativeHead, NativeLlama, kernels

PACKINGS = {"none": 1e-5, "half": 2e-3, "int8": 5e-2}
SIZES = {
    "one key a query": LlamaSizes(10, 64, 128, 2, 4, 4, 16),
    "keys shared": LlamaSizes(10, 128, 192, 3, 4, 2, 32, rope={"rope_theta": 500.0}),
}


@pytest.fixture(params=["_avx2", "_avx512"])
def compiled(request, monkeypatch):
    """Each set of kernels that was compiled and that this processor can run."""
    have = torch.backends.cpu.get_cpu_capability()
    if request.param not in kernels.BY_CAPABILITY.get(have, ()):
        pytest.skip(f"this processor is {have}")
    folder = Path(kernels.__file__).parent
    found = [folder / (request.param + end) for end in EXTENSION_SUFFIXES if (folder / (request.param + end)).exists()]
    if not found:
        pytest.skip(f"{request.param} was not compiled: there was no C compiler when the package was installed")
    opened = kernels._opened(found[0])
    monkeypatch.setattr(kernels, "loaded", lambda: opened)
    return opened


@pytest.fixture(autouse=True)
def no_grad():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def llama_of(name: str) -> Llama:
    model = Llama(SIZES[name])
    for weight in model.parameters():
        weight.add_(torch.randn_like(weight) * (0.1 if weight.ndim == 1 else 0.08))
    return model


def head_of(latent: int = 48, layers: int = 2) -> FlowHead:
    head = FlowHead(64, latent, layers, 2.0)
    for weight in head.parameters():
        weight.add_(torch.randn_like(weight) * 0.1)
    return head


def close(made: torch.Tensor, wanted: torch.Tensor, packing: str) -> None:
    assert (made - wanted).norm() <= PACKINGS[packing] * wanted.norm()


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", SIZES)
def test_steps_are_the_model_s_forward(compiled, packing, name):
    model = llama_of(name)
    x = torch.randn(3, 40, model.sizes.hidden)
    wanted, _ = model(x)
    backbone = LlamaBackbone(model, packing)
    assert backbone.native is not None
    hidden, cache = backbone.start(x[:, :5], torch.arange(3), 8)  # too few: the cache grows
    made = [hidden, *(backbone.step(x[:, at].contiguous(), cache)[:, None] for at in range(5, 40))]
    close(torch.cat(made, 1), wanted, packing)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_row_is_the_same_among_any_rows_and_on_any_number_of_threads(compiled, monkeypatch, packing, threads):
    model = Llama(LlamaSizes(10, 512, 576, 1, 8, 8, 64))  # products large enough to be shared
    native = NativeLlama(model, packing)
    x, empty = torch.randn(17, 512), torch.randn(1, 17, 16, 4, 64)
    alone = []
    for row in range(17):
        alone.append(native.step(x[row : row + 1], empty.clone(), [row], [2]))
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    for rows in (1, 2, 5, 6, 7, 12, 17):
        made = native.step(x[:rows], empty.clone(), range(rows), [2] * rows)
        assert torch.equal(made, torch.cat(alone[:rows]))


@pytest.mark.parametrize("packing", PACKINGS)
def test_positions_of_one_sequence_at_once_are_those_one_after_the_other(compiled, packing):
    native = NativeLlama(llama_of("keys shared"), packing)
    x = torch.randn(9, 128)
    at_once, one_by_one = torch.zeros(3, 1, 4, 12, 32), torch.zeros(3, 1, 4, 12, 32)
    made = native.step(x, at_once, [0] * 9, range(9))
    wanted = [native.step(x[at : at + 1], one_by_one, [0], [at]) for at in range(9)]
    assert torch.equal(made, torch.cat(wanted)) and torch.equal(at_once, one_by_one)


def test_a_prefill_s_end_on_kernels_is_that_of_the_whole(compiled):
    model = llama_of("keys shared")
    x, rows = torch.randn(2, 20, 128), torch.tensor([0, 1, 1])
    whole, _ = model(x)
    for shared in (0, 3, 17, 20):
        backbone = LlamaBackbone(model)
        for _ in range(2):  # the second time the beginning is known
            hidden, cache = backbone.start(x, rows, 30, shared)
            close(hidden, whole, "none")
        more = torch.randn(3, 128)
        longer, _ = model(torch.cat([x[rows], more[:, None]], 1))
        close(backbone.step(more, cache), longer[:, -1], "none")


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_is_not_finite_stays_so(compiled, packing):
    native = NativeLlama(llama_of("one key a query"), packing)
    for bad in (float("nan"), float("inf"), -float("inf")):
        x = torch.randn(2, 64)
        x[1, 3] = bad
        made = native.step(x, torch.zeros(2, 2, 8, 4, 16), [0, 1], [0, 0])
        assert made[0].isfinite().all() and not made[1].isfinite().any()


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("latent", [48, 50])
def test_the_head_is_the_module(compiled, packing, latent):
    head = head_of(latent)
    if packing == "none" and latent % kernels.LANES:
        assert not NativeHead.takes(head, packing)
        return
    native = NativeHead(head, packing)
    condition, times, x = torch.randn(7, 64), torch.tensor([0.0, 0.3, 0.9]), torch.randn(7, latent)
    embedded = head.t_embedder(times)
    made, wanted = native.modulations(condition, embedded), head.modulations(condition, embedded)
    for at in range(3):
        close(native.velocity(x, made[at]), head.velocity(x, wanted[at]), packing)
        one = native.velocity(x[:1], made[at])  # a point for all conditions
        assert torch.equal(one, native.velocity(x[:1].expand(7, -1), made[at]))
        assert torch.equal(native.velocity(x[2:3], made[at][2:3]), native.velocity(x, made[at])[2:3])
    paired = native.paired(condition[:3], embedded)
    assert torch.equal(paired, torch.stack([made[at, at] for at in range(3)]))


def test_threads_that_come_together_all_get_their_own(compiled, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    native = NativeLlama(Llama(LlamaSizes(10, 512, 576, 2, 8, 8, 64)), "half")
    rows = [torch.randn(2, 512) for _ in range(4)]

    def step(x: torch.Tensor) -> list[torch.Tensor]:
        with torch.inference_mode():
            return [native.step(x, torch.zeros(2, 2, 16, 4, 64), [0, 1], [0, 0]) for _ in range(60)]

    wanted = [step(x)[0] for x in rows]
    with ThreadPoolExecutor(4) as pool:
        for made, each in zip(pool.map(step, rows), wanted, strict=True):
            assert all(torch.equal(one, each) for one in made)


FORKED = """
import os, torch
from unisono.lm.llama import Llama, LlamaSizes
from unisono.lm.native import NativeLlama, kernels
torch.get_num_threads = lambda: 3
assert kernels.name() == os.environ["ATEN_CPU_CAPABILITY"]
native = NativeLlama(Llama(LlamaSizes(10, 512, 576, 1, 8, 8, 64)), "half")
x = torch.ones(1, 512)
def step():
    with torch.inference_mode():
        return native.step(x, torch.zeros(1, 1, 16, 4, 64), [0], [0])
wanted = step()
child = os.fork()
if child == 0:
    os._exit(0 if all(torch.equal(step(), wanted) for _ in range(20)) else 7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert torch.equal(step(), wanted)
"""


def test_a_forked_process_has_threads_of_its_own(compiled):
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": kernels.name()}
    environment.pop("UNISONO_KERNELS", None)
    command = [sys.executable, "-W", "ignore", "-c", FORKED]
    made = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert made.returncode == 0, made.stderr


def test_nobody_gets_kernels_who_wants_none_or_cannot_run_them(monkeypatch, without_kernels):
    assert kernels.loaded() is None and kernels.name() is None
    model = llama_of("one key a query")
    assert LlamaBackbone(model, "half").native is None and not NativeHead.takes(head_of(), "half")
    monkeypatch.delenv("UNISONO_KERNELS")
    kernels.loaded.cache_clear()
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "DEFAULT")
    assert kernels.loaded() is None


def test_the_kernels_say_what_they_were_compiled_for(compiled):
    assert "_" + kernels.name() in compiled._name


def test_a_library_of_another_system_is_none(tmp_path):
    (tmp_path / "foreign.so").write_bytes(b"\x7fELF not really")
    assert kernels._opened(tmp_path / "foreign.so") is None


def test_what_does_not_fit_is_refused_before_it_reaches_memory(compiled):
    model = llama_of("one key a query")
    native, head = NativeLlama(model, "half"), NativeHead(head_of(), "half")
    stored, x = torch.zeros(2, 3, 8, 5, 16), torch.randn(2, 64)
    for rows, cache, places, positions in (
        (x, stored, [0, 3], [0, 0]),
        (x, stored, [0, -1], [0, 0]),
        (x, stored, [0, 1], [0, 5]),
        (x, stored, [0, 1], [0, -1]),
        (x, stored, [0], [0, 1]),
        (x, stored, [0, 1, 2], [0, 1, 2]),
        (x[:, :32], stored, [0, 1], [0, 0]),
        (x, stored.bfloat16(), [0, 1], [0, 0]),
        (x, stored[:1], [0, 1], [0, 0]),
        (x, stored[:, :, :4], [0, 1], [0, 0]),
        (x, stored.transpose(2, 3), [0, 1], [0, 0]),
    ):
        with pytest.raises(ValueError):
            native.step(rows, cache, places, positions)
    modulation = head.modulations(torch.randn(4, 64), torch.randn(1, 64))[0]
    for call in (
        lambda: head.velocity(torch.randn(3, 48), modulation),
        lambda: head.velocity(torch.randn(4, 47), modulation),
        lambda: head.velocity(torch.randn(4, 48), modulation[:, 64:]),
        lambda: head.modulations(torch.randn(4, 64), torch.randn(0, 64)),
        lambda: head.modulations(torch.randn(4, 32), torch.randn(1, 64)),
        lambda: head.paired(torch.randn(4, 64), torch.randn(3, 64)),
    ):
        with pytest.raises(ValueError):
            call()


def test_other_number_formats_are_taken_as_float32(compiled):
    native, head = NativeLlama(llama_of("one key a query"), "half"), NativeHead(head_of(), "half")
    x, empty = torch.randn(2, 64).bfloat16(), torch.zeros(2, 2, 8, 4, 16)
    assert torch.equal(
        native.step(x, empty.clone(), [0, 1], [0, 0]), native.step(x.float(), empty.clone(), [0, 1], [0, 0])
    )
    made = head.modulations(x, x)
    assert made.dtype == torch.float32 and torch.equal(made, head.modulations(x.float(), x.float()))
    points = torch.randn(2, 48).bfloat16()
    assert torch.equal(head.velocity(points, made[0]), head.velocity(points.float(), made[0]))


def test_gradients_go_through_torch_or_are_refused(compiled):
    model = llama_of("one key a query")
    backbone = LlamaBackbone(model)
    x = torch.randn(1, 8, 64, requires_grad=True)
    with torch.enable_grad():
        hidden, cache = backbone.start(x, torch.arange(1), 9, shared=5)
        wanted, _ = model(x)
        more, exact = (torch.autograd.grad(each.square().sum(), x, retain_graph=True)[0] for each in (hidden, wanted))
        with pytest.raises(ValueError, match="gradients"):
            backbone.step(x[:, 0], cache)
    close(more[:, 5:], exact[:, 5:], "none")  # what is shared is kept from call to call, without its past


def test_a_library_from_other_sources_is_none(compiled, monkeypatch):
    monkeypatch.setattr(kernels, "LAYOUT", 0)
    assert kernels._opened(Path(compiled._name)) is None


def test_a_model_that_has_spoken_can_be_copied(tiny_model):
    tiny_model.say("Hello.", seed=1)
    model = copy.deepcopy(tiny_model.model)
    assert model._prepared == {} and tiny_model.model._prepared


def test_models_of_other_shapes_formats_and_packings_are_left_to_torch():
    assert not NativeLlama.takes(Llama(LlamaSizes(10, 24, 64, 1, 4, 4, 16)), "half")
    assert not NativeLlama.takes(Llama(LlamaSizes(10, 64, 64, 1, 8, 8, 8)), "half")
    assert not NativeLlama.takes(Llama(LlamaSizes(10, 64, 64, 1, 4, 4, 16, attention_bias=True)), "half")
    assert not NativeLlama.takes(llama_of("one key a query").bfloat16(), "half")
    assert not NativeLlama.takes(llama_of("one key a query"), "int4")


def test_small_weights_share_their_room():
    weights = kernels.Weights("half")
    for _ in range(20):
        weights.add(torch.randn(128, 64))
    assert len(weights.kept) == 1
    about = weights.add(torch.ones(70, 33))
    assert (about.inputs, about.outputs) == (33, 70)
    values = ctypes.string_at(about.values, 2 * 128 * 33)
    read = torch.frombuffer(bytearray(values), dtype=torch.float16).view(2, 33, 64)
    assert (read[0] == 1).all() and (read[1, :, :6] == 1).all() and not read[1, :, 6:].any()
