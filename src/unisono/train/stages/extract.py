"""Stages that read the whole corpus once: marks by the aligner, vectors by the encoder.

Axes: B batch, L frames, T tokens, A all tokens of all clips, D vector width.
"""

from __future__ import annotations

import numpy as np
import torch

from unisono.align.mel_ctc import remove_mean
from unisono.align.search import search
from unisono.errors import AlignmentError
from unisono.train.corpus import Clip, Selection
from unisono.train.marks import Marks
from unisono.train.stages.base import Context, Stage, options_of, padded_waves, spoken_text

BATCH_FRAMES = 6000


def batches(clips: list[Clip]) -> list[list[Clip]]:
    """Clips by length, in batches of about `BATCH_FRAMES`."""
    out: list[list[Clip]] = []
    for clip in sorted(clips, key=lambda c: c.frames):
        if not out or (len(out[-1]) + 1) * clip.frames > BATCH_FRAMES:
            out.append([])
        out[-1].append(clip)
    return out


@torch.inference_mode()
def extract_marks(context: Context, stage: Stage) -> None:
    """Align every clip with the aligner of the run and write `marks.safetensors`; what cannot be aligned gets none."""
    from tqdm import tqdm

    aligner = (
        context.part("aligner").from_pretrained(context.result(stage.init or "aligner/final")).to(context.device).eval()
    )
    found: dict[int, tuple[list[int], np.ndarray, float]] = {}
    for clips in tqdm(batches(context.corpus.clips), desc="marks", unit="batch", disable=None):
        waves, frames = padded_waves(context.corpus, clips)
        net = aligner.encoder
        mel = remove_mean(net.front(waves.to(context.device)), frames.to(context.device))
        scores = net.classify(mel).float().log_softmax(-1).cpu().numpy()
        for row, clip in enumerate(clips):
            ids = context.tokenizer.encode(spoken_text(clip.text))
            try:
                columns = scores[row, : clip.frames][:, ids]
                rows = search(columns)
            except AlignmentError:
                continue
            found[clip.index] = ids, rows, float(columns[rows, np.arange(len(ids))].mean())
    counts = [len(found[c.index][0]) if c.index in found else 0 for c in context.corpus.clips]
    order = [found[c.index] for c in context.corpus.clips if c.index in found]
    Marks(
        ids=np.concatenate([np.array(ids, np.int32) for ids, _, _ in order]),
        places=np.concatenate([np.asarray(rows, np.int32) + 1 for _, rows, _ in order]),
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        scores=np.array([found[c.index][2] if c.index in found else -99 for c in context.corpus.clips], np.float32),
    ).save(context.folder / "marks.safetensors")


@torch.inference_mode()
def extract_vectors(context: Context, stage: Stage) -> None:
    """Encode aligned clips (no latent noise) and write `vectors.safetensors`, float16 [A, D].

    Speakers with weight 0 in the stage's data are left out (their vectors stay 0); options: autocast ("bf16").
    """
    from tqdm import tqdm

    from unisono.files import save_tensors

    encoder = context.part("encoder").from_pretrained(context.result(stage.init or "codec/final") / "encoder")
    encoder.to(context.device).eval()
    marks = Marks.load(context.result("marks.safetensors"))
    vectors = torch.zeros(len(marks.ids), encoder.config.embed_dim, dtype=torch.float16)
    selection = options_of(Selection, stage.data, "data of vectors")
    clips = [c for c in marks.good(context.corpus.clips) if selection.weight(c.speaker) > 0]
    mixed = stage.options.get("autocast") == "bf16"
    for group in tqdm(batches(clips), desc="vectors", unit="batch", disable=None):
        waves, frames = padded_waves(context.corpus, group)
        masks = torch.zeros(len(group), int(frames.max()), dtype=torch.long)
        for row, clip in enumerate(group):
            masks[row, marks.positions(clip) - 1] = 1
        with torch.autocast(context.device.type, torch.bfloat16, enabled=mixed):
            encoded = encoder.frames(waves.to(context.device), masks.to(context.device)).float().cpu()
        for row, clip in enumerate(group):
            vectors[marks.span(clip)] = encoded[row, marks.positions(clip) - 1].half()
    save_tensors(context.folder / "vectors.safetensors", {"vectors": vectors}, {})
