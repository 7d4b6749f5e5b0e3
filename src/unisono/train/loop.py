"""The training loop: one stage, resumable to the same numbers, logged, and loud on NaN.

Randomness of step s comes from (seed, s) alone and a checkpoint holds weights, average and optimiser, so a killed run
continues on the very same loss curve.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from unisono.errors import TrainingError
from unisono.train.checkpoint import load_checkpoint, save_checkpoint


class Task(Protocol):
    """What one stage trains. The loop asks for nothing else.

    A task with `critic` (discriminators, else None) also has `critic_loss()`, asked for after each update of `module`.
    """

    module: nn.Module
    critic: nn.Module | None

    def batch(self, step: int) -> Any:
        """The batch of a step, the same whenever it is asked for."""

    def loss(self, batch: Any) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss to minimise and numbers to log; draws from torch's global generator, which the loop has seeded."""

    def validate(self) -> dict[str, float]:
        """Numbers on held-out clips, with the averaged weights in place."""

    def samples(self, folder: Path, step: int) -> None:
        """Write sounds or pictures of the present state."""

    def save(self, folder: Path) -> None:
        """Write the averaged weights as model files."""


@dataclass
class Settings:
    """One stage's optimisation, as a recipe names it."""

    steps: int
    learning_rate: float = 1e-3
    minimum_rate: float = 1e-5
    warmup: int = 200
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    autocast: str = "none"
    seed: int = 0
    log_every: int = 20
    validate_every: int = 500
    sample_every: int = 2000
    checkpoint_minutes: float = 3.0
    threads: int = 0
    device: str = "auto"
    critic_rate: float = 2e-4


@dataclass
class State:
    """Everything a stage must remember between two steps."""

    step: int
    module: nn.Module
    critic: nn.Module | None
    average: dict[str, torch.Tensor]
    optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer | None = None
    seconds: float = 0.0


def rate_at(step: int, settings: Settings) -> float:
    """Learning rate: linear warm-up, then a cosine down to `minimum_rate` at the last step."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    done = min(1.0, (step - settings.warmup) / max(1, settings.steps - settings.warmup))
    span = settings.learning_rate - settings.minimum_rate
    return settings.minimum_rate + span * 0.5 * (1 + math.cos(math.pi * done))


def start_state(task: Task, settings: Settings) -> State:
    """A fresh state: AdamW over the task's parameters, average = weights."""
    decay = [p for p in task.module.parameters() if p.requires_grad and p.dim() > 1]
    plain = [p for p in task.module.parameters() if p.requires_grad and p.dim() <= 1]
    groups = [{"params": decay, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas)
    average = {name: value.detach().clone() for name, value in task.module.state_dict().items()}
    critic_optimizer = None
    if task.critic is not None:
        critic_optimizer = torch.optim.AdamW(task.critic.parameters(), lr=settings.critic_rate, betas=(0.8, 0.99))
    return State(0, task.module, task.critic, average, optimizer, critic_optimizer)


def train_step(task: Task, state: State, settings: Settings) -> dict[str, float]:
    """One numbered step: seed, batch, loss, backward, clip, update, average."""
    torch.manual_seed(settings.seed * 1_000_003 + state.step)
    rate = rate_at(state.step, settings)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    kind = next(task.module.parameters()).device.type
    with torch.autocast(kind, torch.bfloat16, enabled=settings.autocast == "bf16"):
        loss, numbers = task.loss(task.batch(state.step))
    if not torch.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss.item()} at step {state.step}; lower the learning rate or look at the data"
        )
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(task.module.parameters(), settings.clip)
    if not torch.isfinite(norm):
        raise TrainingError(
            f"a gradient is not finite at step {state.step}; lower the learning rate or look at the data"
        )
    state.optimizer.step()
    if state.critic is not None:
        numbers = numbers | {"critic": _critic_step(task, state)}
    keep = min(settings.ema, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for name, value in task.module.state_dict().items():
            if value.is_floating_point():
                state.average[name].lerp_(value, 1 - keep)
            else:
                state.average[name].copy_(value)
    state.step += 1
    return {"loss": float(loss.detach()), "grad_norm": float(norm), "rate": rate} | numbers


def _critic_step(task: Task, state: State) -> float:
    """Update the discriminators on what the module just made."""
    loss = task.critic_loss()
    if not torch.isfinite(loss):
        raise TrainingError(f"the discriminators' loss is {loss.item()} at step {state.step}; lower critic_rate")
    state.critic_optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.critic_optimizer.step()
    return float(loss.detach())


class averaged:
    """Context in which the module carries its averaged weights."""

    def __init__(self, state: State) -> None:
        self.state = state

    def __enter__(self) -> None:
        self.kept = {name: value.detach().clone() for name, value in self.state.module.state_dict().items()}
        self.state.module.load_state_dict(self.state.average)
        self.state.module.eval()

    def __exit__(self, *error: object) -> None:
        self.state.module.load_state_dict(self.kept)
        self.state.module.train()


class Log:
    """JSONL and TensorBoard, both cut back to the checkpoint on resume so that the curve is one line."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / "log.jsonl"
        kept = []
        if self.path.exists():
            kept = [line for line in self.path.read_text().splitlines() if _line_step(line) <= step]
        self.path.write_text("".join(line + "\n" for line in kept) if step else "")
        self.file = open(self.path, "a")  # noqa: SIM115 - closed in `close`
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, kind: str, numbers: dict[str, float]) -> None:
        """Append one record of a step."""
        self.file.write(json.dumps({"step": step, "kind": kind} | numbers) + "\n")
        self.file.flush()
        for name, value in numbers.items():
            self.board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Flush and close both."""
        self.file.close()
        self.board.close()


def _line_step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return math.inf  # a line cut short by a kill


def run_stage(task: Task, settings: Settings, folder: Path, resume: bool, name: str) -> dict[str, float]:
    """Train one stage to its last step and save it.

    Args:
        folder: of this stage: `log.jsonl`, `tensorboard/`, `checkpoint.safetensors`, `samples/`, `final/`.

    Returns:
        the last validation numbers.

    Raises:
        TrainingError: non-finite numbers, or a checkpoint that does not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = start_state(task, settings)
    if resume and (folder / "checkpoint.safetensors").exists():
        load_checkpoint(folder / "checkpoint.safetensors", state)
    log = Log(folder, state.step)
    task.module.train()
    try:
        numbers = _steps(task, state, settings, folder, log, name)
    finally:
        log.close()
    with averaged(state):
        task.save(folder / "final")
    return numbers


def _steps(task: Task, state: State, settings: Settings, folder: Path, log: Log, name: str) -> dict[str, float]:
    from tqdm import tqdm

    numbers: dict[str, float] = {}
    saved = began = time.monotonic()
    sums: dict[str, float] = {}
    with tqdm(total=settings.steps, initial=state.step, desc=name, unit="step", disable=None) as bar:
        while state.step < settings.steps:
            for key, value in train_step(task, state, settings).items():
                sums[key] = sums.get(key, 0.0) + value
            bar.update()
            if state.step % settings.log_every == 0:
                means = {key: value / settings.log_every for key, value in sums.items()}
                log.write(state.step, "train", means | {"seconds": round(state.seconds + time.monotonic() - began, 1)})
                bar.set_postfix(loss=f"{means['loss']:.4f}")
                sums = {}
            last = state.step == settings.steps
            if state.step % settings.validate_every == 0 or last:
                with averaged(state), torch.no_grad():
                    numbers = task.validate()
                log.write(state.step, "held_out", numbers)
            if state.step % settings.sample_every == 0 or last:
                with averaged(state), torch.no_grad():
                    (folder / "samples").mkdir(exist_ok=True)
                    task.samples(folder / "samples", state.step)
            # Checkpoints fall on logging steps, so that no mean spans the point of a resume.
            due = time.monotonic() - saved > settings.checkpoint_minutes * 60 and state.step % settings.log_every == 0
            if due or last:
                elapsed = state.seconds + time.monotonic() - began
                save_checkpoint(folder / "checkpoint.safetensors", state, elapsed)
                saved = time.monotonic()
    return numbers
