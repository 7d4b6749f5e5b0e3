"""The quantiser slot: vectors of tokens become code tuples and come back.

Axes: B batch, T tokens, D vector width, C latent width, Q codes of a tuple, K entries of a code book.
Index −1 means that a code is absent: it counts as a zero code. A quantiser is a `Quantiser`; `ResidualVQ` is the
published one (spec/taste.md section 1.3), `codec.fsq` has the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import nn
from torch.nn import functional

from unisono.errors import CheckpointError

ABSENT = -1
SMOOTHING = 1e-5


class Quantised(NamedTuple):
    """`output` [B, T, D] with gradients, `indices` int64 [B, T, Q], commitment `losses` [Q] (zero in evaluation)."""

    output: torch.Tensor
    indices: torch.Tensor
    losses: torch.Tensor


class Quantiser(Protocol):
    """What a codec asks of a quantiser. `forward` is vectors -> `Quantised`; a latent is what codes sum up to."""

    sizes: Sequence[int]
    latent_width: int

    def __call__(self, x: torch.Tensor, mask: torch.Tensor | None = None, cutoff: int | None = None) -> Quantised: ...

    def latent(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices [.., Q] -> latent [.., C]."""
        ...

    def nearest(self, latent: torch.Tensor) -> torch.Tensor:
        """Latent [.., C] -> indices [.., Q]."""
        ...

    def expected(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [.., Q, K] -> the latent that their probabilities expect [.., C]."""
        ...

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Latent [.., C] -> vector [.., D]."""
        ...


def tuple_bits(quantiser: Quantiser) -> float:
    """Bits of one code tuple."""
    return sum(math.log2(size) for size in quantiser.sizes)


class CodeBook(nn.Module):
    """Entries that follow their rows by an exponential mean. The buffers' leading 1 is the published layout.

    Buffers: initted [1], cluster_size [1, K], embed_avg [1, K, C], embed [1, K, C].
    """

    def __init__(self, size: int, width: int, decay: float, iterations: int) -> None:
        super().__init__()
        self.decay, self.iterations = decay, iterations
        self.register_buffer("initted", torch.zeros(1))
        self.register_buffer("cluster_size", torch.zeros(1, size))
        self.register_buffer("embed_avg", torch.zeros(1, size, width))
        self.register_buffer("embed", torch.zeros(1, size, width))

    def nearest(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows [.., C] -> indices [..] of the nearest entries, by float32 distances."""
        return _nearest(rows, self.embed[0])

    def look_up(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices [..] -> entries [.., C]; a zero code where absent."""
        found = functional.embedding(indices.clamp_min(0), self.embed[0])
        return found.masked_fill((indices == ABSENT)[..., None], 0)

    @torch.no_grad()
    def initialise(self, rows: torch.Tensor, picks: torch.Tensor | None = None) -> None:
        """k-means on rows [n, C].

        Args:
            picks: int64 [K], rows that are the first means; None = drawn, twice over where rows are few.
        """
        size = self.embed.shape[1]
        if picks is None:
            enough = len(rows) >= size
            picks = torch.randperm(len(rows))[:size] if enough else torch.randint(len(rows), (size,))
        means, counts = kmeans(rows.float(), rows.float()[picks.to(rows.device)], self.iterations)
        self.embed[0] = means
        self.cluster_size[0] = counts
        self.embed_avg[0] = means * counts[:, None]
        self.initted.fill_(1)

    @torch.no_grad()
    def follow(self, rows: torch.Tensor, indices: torch.Tensor) -> None:
        """One step of the exponential mean with Laplace smoothing. rows [n, C], their indices [n]."""
        size = self.embed.shape[1]
        counts = torch.bincount(indices, minlength=size).to(self.embed)
        sums = torch.zeros_like(self.embed[0]).index_add_(0, indices, rows.to(self.embed))
        counts, sums = _over_processes(counts, sums)
        self.cluster_size[0].lerp_(counts, 1 - self.decay)
        self.embed_avg[0].lerp_(sums, 1 - self.decay)
        total = self.cluster_size[0].sum()
        smoothed = (self.cluster_size[0] + SMOOTHING) / (total + size * SMOOTHING) * total
        self.embed[0] = self.embed_avg[0] / smoothed[:, None]


class Level(nn.Module):
    """One level of a residual quantiser; there for the published name `layers.0._codebook`."""

    def __init__(self, *sizes: int, decay: float) -> None:
        super().__init__()
        size, width, iterations = sizes
        self._codebook = CodeBook(size, width, decay, iterations)


class ResidualVQ(nn.Module):
    """Residual vector quantisation with code books that follow their rows (spec/taste.md section 1.3).

    Published files hold the tensors `mlps.*` of a part that no computation uses; loaders drop them
    (`UNUSED_KEYS`), writers may add them.

    Args:
        width: D. latent_width: C. size: K. levels: Q.
        decay: of the exponential mean. iterations: of k-means. dropout: in training the deeper levels are left out
            at random, one cutoff for the whole batch.
    """

    UNUSED_KEYS = ("*.rvq.mlps.*", "mlps.*")

    def __init__(
        self,
        width: int = 1280,
        latent_width: int = 256,
        size: int = 512,
        levels: int = 4,
        decay: float = 0.99,
        iterations: int = 100,
        dropout: bool = True,
    ) -> None:
        super().__init__()
        self.sizes, self.latent_width, self.dropout = (size,) * levels, latent_width, dropout
        self.project_in = nn.Linear(width, latent_width)
        self.project_out = nn.Linear(latent_width, width)
        self.layers = nn.ModuleList(Level(size, latent_width, iterations, decay=decay) for _ in range(levels))

    @property
    def books(self) -> list[CodeBook]:
        """The code books, first level first."""
        return [level._codebook for level in self.layers]

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None, cutoff: int | None = None) -> Quantised:
        """Quantise vectors; in training the code books move, after the first call has set them by k-means.

        Args:
            x: [B, T, D]. mask: bool [B, T], True = a token; None = all are.
            cutoff: last level that is used; None = all in evaluation, drawn in training.

        Returns:
            where masked: indices −1, and the projection of a zero latent. Levels left out: indices −1, loss 0.

        Raises:
            CheckpointError: in evaluation, code books that never saw data (they would be made up from this batch).
        """
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
        residual = self.project_in(x)
        self._ready(residual[mask])
        cutoff = self._cutoff() if cutoff is None else cutoff
        summed, indices, losses = torch.zeros_like(residual), [], []
        for level, book in enumerate(self.books):
            if level > cutoff:
                indices.append(torch.full(mask.shape, ABSENT, device=x.device))
                losses.append(x.new_zeros(()))
                continue
            found = book.nearest(residual)
            codes = book.look_up(found).to(residual)
            if self.training:
                losses.append(functional.mse_loss(residual[mask], codes[mask]))
                book.follow(residual[mask].detach(), found[mask])
                codes = residual + (codes - residual).detach()  # straight through
            else:
                losses.append(x.new_zeros(()))
            summed = summed + codes.masked_fill(~mask[..., None], 0)
            residual = residual - codes.detach()
            indices.append(found.masked_fill(~mask, ABSENT))
        return Quantised(self.project_out(summed), torch.stack(indices, -1), torch.stack(losses))

    def latent(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices [.., Q] -> sum of codes [.., C]."""
        return self.codes(indices).sum(0)

    def codes(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices [.., Q] -> codes level by level [Q, .., C]."""
        return torch.stack([book.look_up(indices[..., level]) for level, book in enumerate(self.books)])

    def nearest(self, latent: torch.Tensor) -> torch.Tensor:
        """Latent [.., C] -> indices [.., Q], level after level."""
        residual, found = latent, []
        for book in self.books:
            found.append(book.nearest(residual))
            residual = residual - book.look_up(found[-1])
        return torch.stack(found, -1)

    def expected(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [.., Q, K] -> sum over levels of the expected codes [.., C]."""
        return self.expected_codes(logits).sum(-2)

    def expected_codes(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [.., Q, K] -> the code that each level expects [.., Q, C]."""
        books = torch.stack([book.embed[0] for book in self.books])  # [Q, K, C]
        return torch.einsum("...qk,qkc->...qc", logits.softmax(-1), books)

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Latent [.., C] -> vector [.., D]."""
        return self.project_out(latent)

    @torch.no_grad()
    def initialise(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, picks: Sequence[torch.Tensor] | None = None
    ) -> None:
        """Set all code books by k-means on vectors x [B, T, D]; picks: first means of each level, see `CodeBook`."""
        rows = self.project_in(x)
        self._initialise(rows.flatten(0, 1) if mask is None else rows[mask], picks)

    def _initialise(self, rows: torch.Tensor, picks: Sequence[torch.Tensor] | None = None) -> None:
        for level, book in enumerate(self.books):
            book.initialise(rows, None if picks is None else picks[level])
            rows = rows - book.look_up(book.nearest(rows))

    def _ready(self, rows: torch.Tensor) -> None:
        """Code books are set before they are used. Raises CheckpointError in evaluation."""
        if all(bool(book.initted) for book in self.books):
            return
        if not self.training:
            raise CheckpointError("the quantiser's code books never saw data: train it, or load trained ones")
        with torch.no_grad():
            self._initialise(rows)

    def _cutoff(self) -> int:
        """The last level of this batch; equal in all processes whose torch seeds are equal."""
        last = len(self.sizes) - 1
        return int(torch.randint(last + 1, ())) if self.training and self.dropout else last


def kmeans(rows: torch.Tensor, means: torch.Tensor, iterations: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Lloyd's iterations from given means; a mean without rows stays where it is.

    Args:
        rows: float32 [n, C]. means: [K, C].

    Returns:
        means [K, C], and how many rows the last assignment gave each [K].
    """
    counts = rows.new_zeros(len(means))
    for _ in range(iterations):
        chosen = functional.one_hot(_nearest(rows, means), len(means)).to(rows)
        counts = chosen.sum(0)
        moved = (chosen.T @ rows) / counts.clamp_min(1)[:, None]
        means = torch.where(counts[:, None] == 0, means, moved)
    return means, counts


def _nearest(rows: torch.Tensor, entries: torch.Tensor) -> torch.Tensor:
    """Index of the nearest entry [K, C] for each row [.., C]."""
    flat = rows.reshape(-1, rows.shape[-1]).float()
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(flat, entries.float(), compute_mode=exact).argmin(-1).view(rows.shape[:-1])


def _over_processes(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Sums over all training processes, where there are several."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for tensor in tensors:
            torch.distributed.all_reduce(tensor)
    return tensors
