"""A training state as one safetensors file: weights, their average, optimiser moments and the step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from unisono.errors import TrainingError

if TYPE_CHECKING:
    from unisono.train.loop import State


def save_checkpoint(path: Path, state: State, seconds: float) -> None:
    """Write the state atomically: a kill at any moment leaves the old file or the new one."""
    tensors = {f"module.{name}": value for name, value in state.module.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in state.average.items()}
    if state.critic is not None:
        tensors |= {f"critic.{name}": value for name, value in state.critic.state_dict().items()}
    for kind, optimizer in _optimizers(state).items():
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"{kind}.{index}.{key}": torch.as_tensor(value) for key, value in moments.items()}
    # Tied weights share memory, which safetensors refuses; a copy of each is stored and tied again on load.
    copies = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    partial = path.with_suffix(".partial")
    save_file(copies, partial, {"step": str(state.step), "seconds": str(seconds)})
    partial.replace(path)


def _optimizers(state: State) -> dict[str, torch.optim.Optimizer]:
    """The optimisers of a state by the prefix of their tensors."""
    both = {"optimizer": state.optimizer, "critic_optimizer": state.critic_optimizer}
    return {name: optimizer for name, optimizer in both.items() if optimizer is not None}


def load_checkpoint(path: Path, state: State) -> None:
    """Fill `state` from a file.

    Raises:
        TrainingError: damaged, or of another model.
    """
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"the checkpoint {path} is damaged; remove it to begin anew") from error
    moments: dict[str, dict[int, dict[str, torch.Tensor]]] = {"optimizer": {}, "critic_optimizer": {}}
    parts: dict[str, dict[str, torch.Tensor]] = {"module": {}, "average": {}, "critic": {}}
    for name, value in tensors.items():
        kind, rest = name.split(".", 1)
        if kind in moments:
            index, key = rest.split(".", 1)
            moments[kind].setdefault(int(index), {})[key] = value
        else:
            parts[kind][rest] = value
    try:
        state.module.load_state_dict(parts["module"])
        if state.critic is not None:
            state.critic.load_state_dict(parts["critic"])
        for name, value in parts["average"].items():
            state.average[name].copy_(value)
        for kind, optimizer in _optimizers(state).items():
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": moments[kind], "param_groups": groups})
    except (RuntimeError, ValueError, KeyError) as error:
        raise TrainingError(f"the checkpoint {path} belongs to another model or recipe") from error
    state.step, state.seconds = int(header["step"]), float(header["seconds"])
