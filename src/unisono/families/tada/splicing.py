"""Sound of edited tokens: as that of the unedited ones, shifted, wherever the edit cannot be heard.

An edit changes hidden frames from the mark before it up to `reach` marks behind it, and samples within the head's
margin of those. Only these stretches are decoded anew. Two things would carry an edit further in a source-filter head,
and are held: its noise is that of the recording's place, and its phase is bent (by half a cycle at most, spread over
the stretch) to meet the recording's phase where the stretch ends. Around a stretch hidden frames are the recording's
own, so that the two sounds agree to rounding where they are joined.

Axes: L frames of the result, K frames of the recording, C hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from unisono.codec.vocoder import fixed_noise
from unisono.families.tada.heads import HOP, LEAD, SILENT, Phases, Piece, SourceFilterHead, render
from unisono.families.tada.windows import WINDOW, Grid, HiddenOf, decode_stretch, hidden_frames

if TYPE_CHECKING:
    from unisono.families.tada.decoder import Decoder


class Stretch(NamedTuple):
    """Frames [start, stop) of the result; `shift` frames later than in the recording, None = not in it."""

    start: int
    stop: int
    shift: int | None


@torch.inference_mode()
def decode_spliced(decoder: Decoder, recording: Grid, result: Grid, origins: Sequence[int]) -> torch.Tensor:
    """The waveform [N] of edited tokens.

    Args:
        recording, result: tokens before and after. origins: for each token of the result that of the recording, or -1.
    """
    wave, phases = _decode_all(decoder, recording)
    stretches = stretches_of(recording, result, origins, decoder.reach)
    hidden = _spliced_hidden(hidden_frames(decoder, recording), hidden_frames(decoder, result), stretches)
    parts, at = [], 0
    for zone in _zones(stretches, decoder.wav_decoder.margin, result.length):
        kept = _kept_before(stretches, zone.start)
        parts.append(wave[HOP * (at - kept) : HOP * (zone.start - kept)])
        parts.append(_decode_zone(decoder, hidden, stretches, zone, phases, result.length))
        at = zone.stop
    if at < result.length:
        parts.append(wave[HOP * (at - stretches[-1].shift) :])
    return torch.cat(parts)


def stretches_of(recording: Grid, result: Grid, origins: Sequence[int], reach: int) -> list[Stretch]:
    """The result in stretches whose hidden frames are the recording's, shifted, and stretches where they are not.

    A token's block of frames ends at its mark. It is the recording's own where the token, its gap and the `reach` + 1
    tokens before it are.
    """
    before, after = recording.frames.tolist(), result.frames.tolist()
    stretches: list[Stretch] = []
    changed, start = 0, 0  # blocks that are still changed; the first frame of the block
    for token, origin in enumerate(origins):
        ahead = origins[token - 1] if token else -1
        own = origin >= 0 and origin == ahead + 1 and (token == 0) == (origin == 0)
        if not own or _gap(before, origin) != _gap(after, token):
            changed = reach + 1
        _add(stretches, start, after[token] + 1, None if changed else after[token] - before[origin])
        changed, start = max(changed - 1, 0), after[token] + 1
    ends = origins[-1] == len(before) - 1 and result.length - after[-1] == recording.length - before[-1]
    if start < result.length:
        _add(stretches, start, result.length, result.length - recording.length if ends and not changed else None)
    return stretches


def _gap(frames: Sequence[int], token: int) -> int:
    """Frames since the mark before."""
    return frames[token] - (frames[token - 1] if token else -1)


def _add(stretches: list[Stretch], start: int, stop: int, shift: int | None) -> None:
    """Continue the last stretch or begin another one."""
    if stretches and stretches[-1].shift == shift:
        stretches[-1] = stretches[-1]._replace(stop=stop)
    else:
        stretches.append(Stretch(start, stop, shift))


def _zones(stretches: Sequence[Stretch], margin: int, length: int) -> list[Stretch]:
    """The stretches of the result whose samples differ from the recording's, with a margin, run together."""
    zones: list[Stretch] = []
    for index, stretch in enumerate(stretches):
        # something was cut out, and nothing put in its place
        moved = index and stretch.shift is not None and stretches[index - 1].shift is not None
        if stretch.shift is not None and not moved:
            continue
        start = max(stretch.start - margin, 0)
        stop = min((stretch.start if moved else stretch.stop) + margin, length)
        if zones and start <= zones[-1].stop + 2 * margin:
            zones[-1] = zones[-1]._replace(stop=max(stop, zones[-1].stop))
        else:
            zones.append(Stretch(start, stop, None))
    return zones


def _kept_before(stretches: Sequence[Stretch], frame: int) -> int:
    """The shift of the last kept stretch that begins before a frame of the result; 0 at its very beginning."""
    shifts = [stretch.shift for stretch in stretches if stretch.start < max(frame, 1) and stretch.shift is not None]
    return shifts[-1] if shifts else 0


def _spliced_hidden(old: HiddenOf, new: HiddenOf, stretches: Sequence[Stretch]) -> HiddenOf:
    """Hidden frames of the result, the recording's own wherever they are the same."""

    def hidden(start: int, stop: int) -> torch.Tensor:
        parts = []
        for stretch in stretches:
            low, high = max(start, stretch.start), min(stop, stretch.stop)
            if low < high:
                shift = stretch.shift
                parts.append(new(low, high) if shift is None else old(low - shift, high - shift))
        return torch.cat(parts, dim=-1)

    return hidden


def _decode_all(decoder: Decoder, grid: Grid) -> tuple[torch.Tensor, Phases]:
    """The waveform of a grid and all phases of its source."""
    waves, phases = [], SILENT
    for wave, more in decode_stretch(decoder, hidden_frames(decoder, grid), 0, grid.length, grid.length):
        waves.append(wave)
        phases = phases.extended(more)
    return torch.cat(waves), phases


def _decode_zone(
    decoder: Decoder,
    hidden: HiddenOf,
    stretches: Sequence[Stretch],
    zone: Stretch,
    known: Phases,
    length: int,
) -> torch.Tensor:
    """Samples of a zone of the result; `known` are the recording's phases."""
    head, margin = decoder.wav_decoder, decoder.wav_decoder.margin
    left, right = _kept_before(stretches, zone.start), _kept_before(stretches, zone.stop)
    begin, end = max(2 * zone.start - LEAD, 0), 2 * zone.stop - LEAD
    sings = isinstance(head, SourceFilterHead)  # a convolution stack has no phase
    phases = Phases(begin, known.at(begin - 2 * left)) if begin and sings else SILENT
    meet = Phases(end, known.at(end - 2 * right)) if zone.stop < length and sings else None
    parts = []
    for start in range(zone.start, zone.stop, WINDOW):
        stop = min(start + WINDOW, zone.stop)
        first, behind = max(start - margin, 0), min(stop + margin, length)
        piece = Piece(hidden(first, behind), first, start, stop, last=stop == length)
        met = meet if stop == zone.stop else None
        wave, phases = render(head, piece, phases, meet=met, noise=_noise(stretches, first, behind, piece.hidden))
        parts.append(wave)
    return torch.cat(parts)


def _noise(stretches: Sequence[Stretch], start: int, stop: int, like: torch.Tensor) -> torch.Tensor:
    """Noise [480·l] of frames [start, stop) of the result, from the places they have in the recording."""
    parts, shift = [], _kept_before(stretches, start)
    for stretch in stretches:
        shift = shift if stretch.shift is None else stretch.shift
        low, high = max(start, stretch.start), min(stop, stretch.stop)
        if low < high:
            parts.append(fixed_noise(HOP * (high - low), like.device, HOP * max(low - shift, 0)))
    return torch.cat(parts)
