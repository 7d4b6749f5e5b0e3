"""From a model folder to what hears units and makes sound of them: the published way, or the embedded one.

Published: `cosyvoice/` with `voice_generator.pth` (or `.safetensors`, same names), `speech_tokenizer_v1.onnx` and
`speaker_embed.onnx`. Embedded: `sound/` with our `UnitCodec`, whose decoder is shared with the built-in model.
Both fill the slot `families.taste.slots.Sound`.

Axes: N samples, S units at 50 Hz, E speaker width.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from unisono.audio.resample import resample_sinc
from unisono.audio.speaker import voice_print
from unisono.errors import CheckpointError, InputError
from unisono.families.tada.decoder import Decoder
from unisono.families.tada.heads import SourceFilterHead
from unisono.families.taste.features import RATE
from unisono.families.taste.sound import flow as flow_part
from unisono.families.taste.sound.flow import Flow, FlowConfig
from unisono.families.taste.sound.hift import HiFT, HiFTConfig
from unisono.families.taste.sound.networks import S3Tokenizer, SpeakerNetwork
from unisono.families.taste.sound.unit_codec import HOP, SAMPLE_RATE, UnitCodec
from unisono.files import load_tensors
from unisono.files.checkpoint import few
from unisono.interface import Audio

EMBEDDED, PUBLISHED = "sound", "cosyvoice"
GENERATOR = ("voice_generator.safetensors", "voice_generator.pth")


class EmbeddedSound:
    """Our units, and the built-in decoder's head and vocoder; a recording's speaker is its voice print."""

    def __init__(self, codec: UnitCodec, head: SourceFilterHead) -> None:
        self.codec, self.head = codec, head
        self.sample_rate, self.speaker_width = SAMPLE_RATE, codec.config.speaker_dim

    def units(self, wave: torch.Tensor) -> torch.Tensor:
        """24 kHz wave [N] -> units int64 [S], S = ceil(N / 480). Raises InputError for an empty one."""
        if not len(wave):
            raise InputError("there is no sound to take units from: the recording is empty")
        return self.codec.encode(wave[None])[0]

    def speaker(self, wave: torch.Tensor) -> torch.Tensor:
        """24 kHz wave [N] -> voice print float32 [E]."""
        found = voice_print(Audio(wave.cpu().numpy(), SAMPLE_RATE))
        return torch.from_numpy(found.astype(np.float32)).to(wave.device)

    def decode(self, units: torch.Tensor, speaker: torch.Tensor, seed: int = 0) -> torch.Tensor:
        """Units int64 [S], voice print [E] -> float32 [480·S]; nothing is drawn, whatever the seed."""
        if not len(units):
            return torch.zeros(0)
        made = self.codec.decode(units[None], speaker[None].to(units.device), self.head)[0]
        return made[: HOP * len(units)].float()


class PublishedSound:
    """S3 units, CAM++ vectors, flow decoder and HiFT, as published; the two networks are opened when first used."""

    def __init__(self, flow: Flow, hift: HiFT, folder: Path) -> None:
        self.flow, self.hift, self.folder = flow.eval(), hift.eval(), folder
        self.sample_rate, self.speaker_width = flow_part.SAMPLE_RATE, flow.config.spk_embed_dim
        self._tokenizer: S3Tokenizer | None = None
        self._speakers: SpeakerNetwork | None = None

    def units(self, wave: torch.Tensor) -> torch.Tensor:
        """24 kHz wave [N] -> S3 units int64 [S]. Raises as `S3Tokenizer` does."""
        self._tokenizer = self._tokenizer or S3Tokenizer(self.folder / "speech_tokenizer_v1.onnx")
        return self._tokenizer.units(resample_sinc(wave.cpu(), SAMPLE_RATE, RATE)).to(wave.device)

    def speaker(self, wave: torch.Tensor) -> torch.Tensor:
        """24 kHz wave [N] -> CAM++ vector float32 [E]. Raises as `SpeakerNetwork` does."""
        self._speakers = self._speakers or SpeakerNetwork(self.folder / "speaker_embed.onnx")
        return self._speakers.vector(resample_sinc(wave.cpu(), SAMPLE_RATE, RATE)).to(wave.device)

    @torch.no_grad()
    def decode(self, units: torch.Tensor, speaker: torch.Tensor, seed: int = 0) -> torch.Tensor:
        """S3 units int64 [S], CAM++ vector [E] -> float32 [N] at 22,050 Hz; all draws come from `seed`."""
        generator = torch.Generator().manual_seed(seed)
        mel = self.flow(units[None], speaker[None].to(units.device), generator=generator)
        return self.hift(mel, generator=generator)[0]


def load_sound(folder: Path, device: str | torch.device | None = None) -> EmbeddedSound | PublishedSound:
    """The sound parts of a model folder.

    Args:
        folder: holds `sound/` or `cosyvoice/`; the decoder that `sound/` shares is in `folder`/decoder, or in the
            folder above, where the built-in model is.

    Raises:
        CheckpointError: neither is there, or its files are damaged.
    """
    folder = Path(folder)
    if (folder / EMBEDDED).is_dir():
        codec = UnitCodec.from_pretrained(folder / EMBEDDED, device=device)
        places = [place for place in (folder, folder.parent) if (place / "decoder").is_dir()]
        if not places:
            raise CheckpointError(
                f"{folder} has units but no decoder: it has to lie inside the model whose decoder it shares"
            )
        head = Decoder.from_pretrained(places[0], subfolder="decoder", device=device).wav_decoder
        if not isinstance(head, SourceFilterHead):
            raise CheckpointError(f"{places[0] / 'decoder'} is no source-filter decoder, which is what the units share")
        return EmbeddedSound(codec, head)
    if (folder / PUBLISHED).is_dir():
        flow, hift = load_generator(folder / PUBLISHED, device)
        return PublishedSound(flow, hift, folder / PUBLISHED)
    raise CheckpointError(f"{folder} has neither {EMBEDDED}/ nor {PUBLISHED}/: this model has no voice")


def load_generator(folder: Path, device: str | torch.device | None = None) -> tuple[Flow, HiFT]:
    """Flow decoder and HiFT of the published sizes from `voice_generator`, strictly.

    Raises:
        CheckpointError: no such file, damaged, or tensors that do not fit, which are named.
    """
    found = [folder / name for name in GENERATOR if (folder / name).is_file()]
    if not found:
        raise CheckpointError(f"{folder} has no {GENERATOR[1]}: it comes with the published TASTE model")
    tensors = load_tensors(found[0])[0] if found[0].suffix == ".safetensors" else _unpickled(found[0])
    return from_tensors(tensors, FlowConfig(), HiFTConfig(), str(found[0]), device)


def from_tensors(
    tensors: Mapping[str, torch.Tensor],
    flow_config: FlowConfig,
    hift_config: HiFTConfig,
    source: str = "the voice generator",
    device: str | torch.device | None = None,
) -> tuple[Flow, HiFT]:
    """Flow and HiFT from tensors `flow.*` and `hift.*`. Raises CheckpointError where they do not fit."""
    with torch.device("meta"):
        parts = {"flow.": Flow(flow_config), "hift.": HiFT(hift_config)}
    wanted = {prefix + name: value for prefix, part in parts.items() for name, value in part.state_dict().items()}
    problems = [f"{name} is missing" for name in wanted if name not in tensors]
    problems += [f"{name} is not known" for name in tensors if name not in wanted]
    problems += [
        f"{name} is {list(tensors[name].shape)}, wanted is {list(value.shape)}"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if problems:
        raise CheckpointError(f"{source} does not fit: {few(problems)}")
    for prefix, part in parts.items():
        own = {name[len(prefix) :]: value.to(device) for name, value in tensors.items() if name.startswith(prefix)}
        part.load_state_dict(own, assign=True)
    hift: HiFT = parts["hift."]
    hift.window = torch.hann_window(len(hift.window), device=device)  # not stored, and built without memory
    return parts["flow."], hift


def _unpickled(path: Path) -> Mapping[str, torch.Tensor]:
    """A published `.pth`: torch reads nothing but tensors from it, never code. Raises CheckpointError."""
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever reading a foreign file raises
        raise CheckpointError(f"{path} is damaged, or holds more than tensors") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise CheckpointError(f"{path} is no table of tensors")
    return tensors
