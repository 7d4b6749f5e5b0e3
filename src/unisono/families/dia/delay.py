"""The delay pattern: channel q runs `delays[q]` steps behind, so that a step sees the coarser codes of its frame.

transformers' own functions lay it out; this module says what goes in and what comes out.
Axes: B rows, P prompt frames, S steps, T frames, Q channels.
"""

from __future__ import annotations

from typing import Any

import torch


def decoder_prompt(codes: torch.Tensor | None, rows: int, config: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Decoder ids [B, 1 + P + longest delay, Q] and their mask, as `DiaProcessor` makes them for generation.

    Args:
        codes: int64 [P, Q] of a voice; None = none, P = 0. config: of the model.
    """
    from transformers import DiaProcessor

    audio, channels, longest = config.decoder_config, config.decoder_config.num_channels, max(config.delay_pattern)
    begun = torch.full((1, channels), audio.bos_token_id)
    begun = begun if codes is None else torch.cat([begun, codes.long()])
    padded = torch.cat([begun, torch.full((longest, channels), audio.pad_token_id)]).expand(rows, -1, -1)
    ids = DiaProcessor.apply_audio_delay(
        audio=padded.contiguous(),
        pad_token_id=audio.pad_token_id,
        bos_token_id=audio.bos_token_id,
        precomputed_idx=DiaProcessor.build_indices(rows, padded.shape[1], channels, list(config.delay_pattern)),
    )
    return ids, torch.ones(ids.shape[:2], dtype=torch.long)


def undelayed(steps: torch.Tensor, first: int, config: Any) -> torch.Tensor:
    """Codes [T, Q] of one row.

    Args:
        steps: int64 [S, Q] as generated, prompt included. first: step of the first new frame in channel 0, 1 + P.
    """
    delays = list(config.delay_pattern)
    ends = (steps[first:, 0] == config.decoder_config.eos_token_id).nonzero()
    stop = first + int(ends[0]) if len(ends) else len(steps) - max(delays)
    return torch.stack([steps[first + delay : stop + delay, q] for q, delay in enumerate(delays)], dim=1)


def training_rows(codes: list[torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """Decoder ids, mask and labels of recordings, as `DiaProcessor(generation=False, output_labels=True)` makes them.

    A row is BOS, its codes [T, Q] and one EOS, delayed; shorter rows begin with more BOS, which the mask hides.

    Returns:
        `decoder_input_ids` [B, S, Q], `decoder_attention_mask` [B, S], `labels` [B · Q, S], -100 at BOS and PAD.
    """
    from transformers import DiaProcessor

    audio, channels, longest = config.decoder_config, config.decoder_config.num_channels, max(config.delay_pattern)
    most = max(map(len, codes))
    rows = torch.full((len(codes), most + 2 + longest, channels), audio.pad_token_id)
    mask = torch.zeros(rows.shape[:2], dtype=torch.long)
    for row, found in enumerate(codes):
        start = most - len(found)
        rows[row, : start + 1] = audio.bos_token_id
        rows[row, start + 1 : most + 1] = found
        rows[row, most + 1] = audio.eos_token_id
        mask[row, start:] = 1
    ids = DiaProcessor.apply_audio_delay(
        audio=rows,
        pad_token_id=audio.pad_token_id,
        bos_token_id=audio.bos_token_id,
        precomputed_idx=DiaProcessor.build_indices(len(codes), rows.shape[1], channels, list(config.delay_pattern)),
    )
    labels = ids[:, 1:].clone()
    labels[(labels == audio.pad_token_id) | (labels == audio.bos_token_id)] = -100
    return {
        "decoder_input_ids": ids[:, :-1],
        "decoder_attention_mask": mask[:, :-1],
        "labels": labels.transpose(1, 2).reshape(len(codes) * channels, -1).contiguous(),
    }
