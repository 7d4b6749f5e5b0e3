"""`unisono bench`: its figures hang together, its JSON is the contract's, and it refuses in one sentence."""

import json
from functools import partial

import pytest
import torch

from unisono.bench import Settings, measure, table
from unisono.bench.budget import bytes_per_token, floors, reference_bytes
from unisono.bench.laps import stopwatch
from unisono.bench.machine import machine, peak_memory_mb, read_bandwidth, versions
from unisono.bench.random_models import SHAPES, fill, random_shape
from unisono.bench.result import quantile
from unisono.cli import main
from unisono.errors import InputError
from unisono.families.tada import Decoder, TadaForCausalLM
from unisono.families.tada.decoder import DecoderConfig
from unisono.files.checkpoint import without_init

CONTRACT = {
    "machine",
    "versions",
    "model",
    "device",
    "dtype",
    "threads",
    "rtf",
    "times_real_time",
    "ms_per_token",
    "time_to_first_audio_ms",
    "load_s",
    "peak_memory_mb",
    "against",
}
PUBLISHED_PARAMETERS = {"tada-1b": 1_634_881_536, "tada-3b": 4_107_048_960}  # TADA, spec section 2.1
PUBLISHED_DECODER = 118_707_298


@pytest.fixture(autouse=True)
def threads():
    """The command may set the number of threads, which is the process's."""
    kept = torch.get_num_threads()
    yield
    torch.set_num_threads(kept)


@pytest.fixture(scope="module", autouse=True)
def little_memory():
    """Memory is read in small pieces here."""
    from unisono.bench import benchmark as module

    kept = module.read_bandwidth
    module.read_bandwidth = lambda device: kept(device, repeats=1, size=1 << 20)
    yield
    module.read_bandwidth = kept


def report_of(tiny_folder, **more):
    return measure(Settings(**{"model": str(tiny_folder), "device": "cpu", "text": "hello", "runs": 2, **more}))


@pytest.mark.parametrize("against", [None, "reference", "reference-separate", "single"])
def test_the_json_is_that_of_the_contract_and_its_figures_hang_together(tiny_folder, against):
    report = report_of(tiny_folder, against=against)
    assert set(report) == CONTRACT | {"details"}
    json.dumps(report, allow_nan=False)
    parts, first = report["ms_per_token"], report["time_to_first_audio_ms"]
    assert set(parts) == {"lm", "head", "decoder", "total"} and min(parts.values()) > 0
    assert parts["lm"] + parts["head"] + parts["decoder"] < parts["total"] * (1 + 1e-9)
    assert report["rtf"] * report["times_real_time"] == pytest.approx(1)
    assert 0 < first["p50"] <= first["p95"] and report["load_s"] > 0 and report["peak_memory_mb"] > 10
    if against is None:
        assert report["against"] is None
    else:
        ratios = report["against"]
        assert ratios["name"] == against
        assert 0 < ratios["ratio_min"] <= ratios["ratio_median"] <= ratios["ratio_max"]
        assert len(report["details"]["against_seconds"]) == 2
    labels = [label.strip() for label, _ in table(report)]
    assert {"speed", "first audio", "language model", "flow head", "decoder"} <= set(labels)


def test_a_batch_speaks_every_row_and_a_stream_speaks_the_same(tiny_folder):
    one, three = report_of(tiny_folder), report_of(tiny_folder, batch=3)
    assert three["details"]["sound_seconds"][0] == pytest.approx(3 * one["details"]["sound_seconds"][0])
    assert three["details"]["tokens"] == 3 * one["details"]["tokens"]
    stream = report_of(tiny_folder, stream=True)
    assert stream["details"]["sound_seconds"] == pytest.approx(one["details"]["sound_seconds"])


def test_the_steps_asked_for_are_taken_on_either_side(tiny_folder, tiny_model, monkeypatch):
    from unisono.bench import benchmark as module

    seen = []
    kept = module.reference_say
    monkeypatch.setattr(module, "reference_say", lambda *args, **kw: seen.append(kw["steps"]) or kept(*args, **kw))
    report = report_of(tiny_folder, steps=3, against="reference", reference_steps=5)
    assert set(seen) == {5} and report["details"]["steps"] == 3 and report["details"]["reference_steps"] == 5


def test_timers_are_taken_out_again_and_change_nothing(tiny_model):
    before = tiny_model.say("hello", seed=1)
    with stopwatch(tiny_model) as laps:
        timed = tiny_model.say("hello", seed=1)
    counted = laps.tokens
    after = tiny_model.say("hello", seed=1)
    assert (before.audio == timed.audio).all() and (before.audio == after.audio).all()
    assert counted == laps.tokens >= 5 and all(laps.seconds.values())


def test_random_shapes_are_the_published_ones():
    with torch.device("meta"), without_init():
        for name, count in PUBLISHED_PARAMETERS.items():
            model = TadaForCausalLM(random_shape(f"random:{name}"))
            assert sum(value.numel() for value in model.parameters()) == count
        assert sum(value.numel() for value in Decoder(DecoderConfig()).parameters()) == PUBLISHED_DECODER


def test_the_decoder_is_timed_where_a_sentence_is_decoded_by_windows(tiny_model, monkeypatch):
    from unisono.families.tada import render

    by_windows = partial(render.decode_grid, window=8)
    monkeypatch.setattr(render, "decode_grid", by_windows)
    with stopwatch(tiny_model) as laps:
        tiny_model.say("Hello there, this is a test.", seed=1)
    assert laps.seconds["decoder"] > 0 and render.decode_grid is by_windows


@pytest.mark.parametrize("packing", ["none", "int8"])
def test_a_random_model_speaks_sound_of_speech_like_length(packing, monkeypatch):
    from unisono.bench import random_models

    small = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2}
    tiny = {**SHAPES["tada-1b"], **small, "head_dim": 16, "intermediate_size": 64, "vocab_size": 128, "head_layers": 1}
    monkeypatch.setitem(random_models.SHAPES, "tiny", tiny)
    sizes = {"hidden_dim": 16, "num_attn_layers": 1, "num_attn_heads": 2, "attn_dim_feedforward": 16}
    monkeypatch.setattr(random_models, "DecoderConfig", lambda: DecoderConfig(**sizes, wav_decoder_channels=32))
    tts, voice = random_models.random_speech("random:tiny", quantize=packing)
    again, _ = random_models.random_speech("random:tiny", quantize=packing)
    speech = tts.say("Hello there.", voice=voice, seed=1)
    tokens = len(speech.tokens)
    assert (speech.audio == again.say("Hello there.", voice=voice, seed=1).audio).all()
    assert speech.audio.std() > 0 and 1 < tokens / speech.duration < 10


def test_filling_leaves_no_weight_as_it_was_found():
    decoder = Decoder(DecoderConfig(hidden_dim=16, num_attn_heads=2, attn_dim_feedforward=16, wav_decoder_channels=32))
    for value in decoder.parameters():
        torch.nn.init.constant_(value, float("nan"))
    fill(decoder, torch.randn(101))
    assert all(value.isfinite().all() for value in decoder.parameters())
    matrix = decoder.local_attention_decoder.layers[0].ffn[0].weight
    assert matrix.std() > 0.5 and not torch.equal(matrix[0], matrix[1])


def test_the_budget_counts_what_is_read():
    with torch.device("meta"), without_init():
        model, decoder = TadaForCausalLM(random_shape("random:tada-1b")), Decoder(DecoderConfig())
    budget = bytes_per_token(model, decoder, steps=10, packing="none", tokens=20)
    layers = sum(value.numel() for value in model.model.layers.parameters())
    head = sum(value.numel() for value in model.prediction_head.parameters())
    times = sum(value.numel() for value in model.prediction_head.t_embedder.parameters())  # worked out before
    norms = sum(layer.norm.weight.numel() for layer in model.prediction_head.layers)
    assert budget["lm"] == 4 * layers
    assert budget["head_once"] + budget["head_steps"] / 10 == pytest.approx(4 * (head - times - norms))
    packed = bytes_per_token(model, decoder, steps=10, packing="int8", tokens=20)
    assert 3.8 < budget["lm"] / packed["lm"] < 4 and packed["decoder"] == budget["decoder"]
    assert reference_bytes(model, steps=10, separate=True)["head"] == 20 * 4 * head
    assert floors({"lm": 1e9, "head_once": 0, "head_steps": 2e9}, 1e10)["total"] == pytest.approx(300)


def test_the_machine_is_described():
    found = machine("cpu")
    assert found["processor"] and found["cores"] >= 1 and "torch" in versions()
    assert peak_memory_mb("cpu") > 10 and all(each > 0 for each in read_bandwidth("cpu", repeats=2, size=1 << 20))


def test_quantiles_lie_between_their_neighbours():
    assert quantile([3, 1, 2], 0.5) == 2 and quantile([1, 2], 0.95) == pytest.approx(1.95) and quantile([4], 0.95) == 4


REFUSED = {
    "--batch 0": "batch",
    "--steps 0": "steps",
    "--threads -1": "threads",
    "--runs 0": "runs",
    "--against nobody": "nobody",
    "--reference-steps 10": "--against reference",
    "--stream --batch 2": "stream",
    "--dtype int4": "int4",
    "--model random:tada-9b": "random:tada-1b",
    "--model nowhere/at-all-here": "nowhere",
    "--device tpu": "tpu",
    "--quantize int3": "int3",
    "--json out.txt": "out.txt",
    "--json no/such/folder.json": "folder",
    "--batch many": "batch",
}


@pytest.mark.parametrize("arguments", REFUSED, ids=REFUSED)
def test_bad_input_is_refused_in_one_sentence(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["bench", *arguments.split()]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("unisono: ") and len(shown.err.splitlines()) <= 3
    assert REFUSED[arguments] in shown.err and list(tmp_path.iterdir()) == []


def test_a_shape_that_does_not_fit_into_memory_is_refused(monkeypatch):
    from unisono.bench import random_models

    monkeypatch.setattr(random_models, "_free_bytes", lambda device: 1_000_000)
    with pytest.raises(InputError, match="GB are free"):
        random_models.random_speech("random:tada-1b")


def test_the_command_prints_a_table_and_writes_the_figures(tiny_folder, tmp_path, capsys):
    target = tmp_path / "bench.json"
    arguments = ["bench", "--model", str(tiny_folder), "--device", "cpu", "--text", "hello", "--runs", "1"]
    assert main([*arguments, "--json", str(target)]) == 0
    assert "× real time" in capsys.readouterr().out and set(json.loads(target.read_text())) >= CONTRACT
    assert main([*arguments, "--json", "-"]) == 0
    shown = capsys.readouterr()
    assert set(json.loads(shown.out)) >= CONTRACT and "× real time" in shown.err
