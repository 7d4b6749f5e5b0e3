"""Golden files of TASTE's published way from units to sound: flow decoder and HiFT (TASTE, spec section 1.5)."""

from __future__ import annotations

import json

import torch
from golden_harness import Golden, checker

from unisono.families.taste.sound.flow import Flow, FlowConfig, frames_of_units, time_grid
from unisono.families.taste.sound.hift import HiFT, HiFTConfig

MEL_TOLERANCE = WAVE_TOLERANCE = 1e-4
INSIDE_TOLERANCE = 1e-3  # pitch and HiFT's intermediate values


def strictly(module: torch.nn.Module, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A module with exactly these weights."""
    module.load_state_dict(weights)
    return module.eval()


def models(weights: Golden) -> tuple[Flow, HiFT]:
    """Flow and HiFT of a weights file."""
    sizes = weights.meta
    flow = strictly(Flow(FlowConfig(**sizes["flow"])), weights.part("flow."))
    return flow, strictly(HiFT(HiFTConfig(**sizes["hift"])), weights.part("hift."))


@checker("vocoder_weights", family="taste")
def check_vocoder_weights(golden: Golden) -> None:
    flow, hift = models(golden)
    names = {f"flow.{name}" for name in flow.state_dict()} | {f"hift.{name}" for name in hift.state_dict()}
    assert names == set(golden.tensors)
    manifest = golden.path.with_name("state_dict_manifest.json")
    if manifest.exists():  # of the main set only
        check_released(json.loads(manifest.read_text())["voice_generator"])


def check_released(manifest: dict[str, list[int]]) -> None:
    """Names and shapes of the published `voice_generator.pth`."""
    with torch.device("meta"):
        parts = {"flow": Flow(), "hift": HiFT()}
    found = {f"{part}.{name}": list(v.shape) for part, made in parts.items() for name, v in made.state_dict().items()}
    assert found == manifest


@checker("vocoder", family="taste")
def check_vocoder(golden: Golden) -> None:
    flow, hift = models(golden.sibling(golden.meta["weights"]))
    golden.close(time_grid(len(golden["t_span"]) - 1), "t_span", MEL_TOLERANCE)
    found = [frames_of_units(units) for units in range(len(golden["frames_of_units"]))]
    golden.equal(torch.tensor(found), "frames_of_units")
    for case in golden.meta["cases"]:
        (check_flow if case.startswith("flow") else check_hift)(golden, case, flow if "flow" in case else hift)


def check_flow(golden: Golden, case: str, flow: Flow) -> None:
    units, speaker = golden[f"{case}.units"], golden[f"{case}.speaker"]
    encoded = flow.encoder(flow.input_embedding(units))
    golden.close(encoded, f"{case}.encoder_out", MEL_TOLERANCE)
    golden.close(flow.encoder_proj(encoded), f"{case}.encoder_proj", MEL_TOLERANCE)
    given = flow.condition(units, speaker)
    golden.close(given.mu, f"{case}.mu", MEL_TOLERANCE)
    golden.close(given.speaker, f"{case}.speaker_projected", MEL_TOLERANCE)
    times, states = golden[f"{case}.t"], golden[f"{case}.x"]
    golden.close(flow.decoder.estimator.time(times[:1]), f"{case}.time_embedding_step0", MEL_TOLERANCE)
    for step, t in enumerate(times):
        with_it, without = flow.velocities(states[step][None], t, given)
        golden.close(with_it[0], golden[f"{case}.v_cond"][step], MEL_TOLERANCE, f"{case}.v_cond")
        golden.close(without[0], golden[f"{case}.v_zero"][step], MEL_TOLERANCE, f"{case}.v_zero")
    golden.close(flow(units, speaker, noise=golden[f"{case}.noise"]), f"{case}.mel", MEL_TOLERANCE)


def check_hift(golden: Golden, case: str, hift: HiFT) -> None:
    mel, phase, noise = (golden[f"{case}.{name}"] for name in ("mel", "phase", "noise"))
    pitch = hift.f0_predictor(mel)
    golden.close(pitch, f"{case}.f0", INSIDE_TOLERANCE)
    pitch = pitch.repeat_interleave(hift.hop, -1)
    golden.equal((pitch[:, None] > 10.0).long(), f"{case}.uv")
    golden.close(hift.m_source.sines(pitch, phase, noise), f"{case}.sine_source", INSIDE_TOLERANCE)
    source = hift.m_source(pitch, phase, noise)
    golden.close(source[..., None], f"{case}.source", INSIDE_TOLERANCE)
    spectrum = hift.spectrum(source)
    golden.close(spectrum, f"{case}.source_stft", INSIDE_TOLERANCE)
    golden.close(hift.filtered(mel, spectrum), f"{case}.conv_post", INSIDE_TOLERANCE)
    golden.close(hift(mel, phase, noise), f"{case}.wav", WAVE_TOLERANCE)
