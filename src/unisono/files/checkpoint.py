"""Strict checkpoints: a folder with `config.json` and safetensors becomes a module, or one sentence says why not.

Names in files are the published ones. Per class, `ignored_keys` are dropped on purpose, `optional_keys` may be missing
because they are computed or tied; every other stray, missing or misshapen tensor is an error that names it.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from unisono.errors import CheckpointError
from unisono.files.locate import CONFIG, find_folder, read_json
from unisono.files.outputs import check_folder, replacing
from unisono.files.tensors import PICKLE_SUFFIXES, open_tensors, save_tensors

if TYPE_CHECKING:
    import torch
    from torch import nn

Module = TypeVar("Module", bound="nn.Module")

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHOWN = 4  # names listed in an error
# Keys that transformers writes into every config.json; they say nothing about the architecture.
BOOKKEEPING = frozenset(
    {"architectures", "dtype", "torch_dtype", "transformers_version", "model_type", "_name_or_path", "auto_map"}
)


class Checkpoint:
    """Mixin that gives a torch module `from_pretrained` and `save_pretrained`.

    The class says how it is built (`cls(config)`, `config_class` a dataclass or a class with `from_dict`) and keeps
    `self.config`. Patterns match a whole name, its last part, or a shell pattern ("_decoder.*").
    """

    config_class: ClassVar[type]
    ignored_keys: ClassVar[Sequence[str]] = ()
    optional_keys: ClassVar[Sequence[str]] = ()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        subfolder: str = "",
        revision: str | None = None,
        dtype: str | torch.dtype | None = None,
        device: str | torch.device | None = None,
        torch_dtype: str | torch.dtype | None = None,
        **overrides: Any,
    ) -> Self:
        """Load, strictly, in evaluation mode.

        Args:
            name_or_path: folder or hub name; the hub's cache comes before the network.
            subfolder: folder inside it, "encoder".
            revision: hub branch, tag or commit.
            dtype: of floating-point weights; None = float32 whatever the file holds (spec/tada.md section 2).
            device: where to put the weights; None = CPU.
            torch_dtype: older name of `dtype`.
            overrides: configuration keys that replace those of the file.

        Raises:
            CheckpointError: nothing there, damaged, foreign, or not fitting; the sentence lists the names.
        """
        folder = find_folder(name_or_path, subfolder, revision)
        config = build_config(cls.config_class, {**read_json(folder / CONFIG), **overrides}, folder)
        with without_init():
            module = _construct(cls, config, folder)
        load_module(module, folder, as_dtype(dtype or torch_dtype), device)
        return module.eval()

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write `config.json` and `model.safetensors` into a folder, which is made if its parent exists.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        folder = Path(folder)
        check_folder(folder, CheckpointError)
        folder.mkdir(exist_ok=True)
        save_tensors(folder / WEIGHTS, tensors_to_save(self, self.ignored_keys, dtype), {"format": "pt"})
        with replacing(folder / CONFIG, CheckpointError) as temporary:
            temporary.write_text(json.dumps(config_values(self.config), indent=2, sort_keys=True) + "\n")


def build_config(config_class: type, values: Mapping[str, Any], folder: Path) -> Any:
    """A configuration from the contents of `config.json`; transformers' bookkeeping keys are passed over.

    Raises:
        CheckpointError: unknown keys, or values that the class refuses.
    """
    kept = {key: value for key, value in values.items() if key not in BOOKKEEPING}
    if not dataclasses.is_dataclass(config_class):
        return config_class.from_dict(dict(values))
    unknown = sorted(set(kept) - {entry.name for entry in dataclasses.fields(config_class)})
    if unknown:
        raise CheckpointError(f"{folder / CONFIG} has keys that {config_class.__name__} does not know: {_few(unknown)}")
    try:
        return config_class(**kept)
    except (TypeError, ValueError) as problem:
        raise CheckpointError(f"{folder / CONFIG} cannot be used: {problem}") from problem


def _construct(cls: type, config: Any, folder: Path) -> Any:
    """The module; values of the right name that no module can be built from are the file's fault."""
    try:
        return cls(config)
    except (TypeError, ValueError, ZeroDivisionError, RuntimeError) as problem:
        raise CheckpointError(
            f"{folder / CONFIG} describes no {cls.__name__} that can be built: {problem}"
        ) from problem


def config_values(config: Any) -> dict[str, Any]:
    """What goes into `config.json`."""
    if dataclasses.is_dataclass(config):
        return dataclasses.asdict(config)
    return config.to_dict()


def tensors_to_save(
    module: nn.Module, ignored: Sequence[str] = (), dtype: torch.dtype | None = None
) -> dict[str, torch.Tensor]:
    """The state dict without ignored names and without second names of tied tensors, floats cast to `dtype`."""
    import torch

    kept: dict[str, torch.Tensor] = {}
    seen: set[tuple[int, torch.Size]] = set()
    for name, value in module.state_dict().items():
        place = (value.data_ptr(), value.shape)
        if matches(name, ignored) or (place in seen and value.numel()):
            continue
        seen.add(place)
        kept[name] = value.to(dtype) if dtype is not None and torch.is_floating_point(value) else value
    return kept


def load_module(
    module: Module,
    folder: Path,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    ignored: Sequence[str] | None = None,
    optional: Sequence[str] | None = None,
) -> Module:
    """Fill a module from `model.safetensors` or its shards, tensor by tensor, and move it to `device`.

    Args:
        module: a built module; its parameters are replaced, never copied into, so memory holds the weights once.
        dtype: of floating-point weights; None = float32. Buffers that no file holds keep theirs.
        ignored, optional: patterns; default are the module's `ignored_keys` and `optional_keys`.

    Raises:
        CheckpointError: see `Checkpoint.from_pretrained`.
    """
    import torch

    ignored = getattr(module, "ignored_keys", ()) if ignored is None else ignored
    optional = getattr(module, "optional_keys", ()) if optional is None else optional
    wanted, dtype = module.state_dict(), dtype or torch.float32
    found: dict[str, torch.Tensor] = {}
    stray, misfit = [], []
    for name, value in read_weights(folder):
        if matches(name, ignored):
            continue
        if name not in wanted:
            stray.append(name)
        elif value.shape != wanted[name].shape:
            misfit.append(f"{name} {list(value.shape)} instead of {list(wanted[name].shape)}")
        elif value.is_floating_point() != wanted[name].is_floating_point():
            misfit.append(f"{name} {value.dtype} instead of {wanted[name].dtype}")
        else:
            found[name] = value.to(device=device, dtype=dtype if value.is_floating_point() else None)
    missing = [name for name in wanted if name not in found and not matches(name, optional)]
    missing = [name for name in missing if not any(entry.startswith(f"{name} ") for entry in misfit)]
    problems = [
        f"{label} {_few(names)}"
        for label, names in (("missing", missing), ("unknown", stray), ("misfit", misfit))
        if names
    ]
    if problems:
        raise CheckpointError(f"{folder} does not fit {type(module).__name__}: {'; '.join(problems)}")
    _put(module, found)
    untied = _untied(module, found)
    if untied:
        raise CheckpointError(f"{folder} does not fit {type(module).__name__}: missing {_few(untied)}")
    return module if device is None else module.to(device)


def _put(module: nn.Module, found: dict[str, torch.Tensor]) -> None:
    """Assign all tensors and tie what is tied; a computed buffer that no file held keeps its value."""
    complete = {**{name: value for name, value in module.state_dict().items() if name not in found}, **found}
    module.load_state_dict(complete, assign=True)
    if callable(tie := getattr(module, "tie_weights", None)):
        tie()


def _untied(module: nn.Module, found: dict[str, torch.Tensor]) -> list[str]:
    """Parameters that may be missing because they are tied, but are tied to nothing that was loaded."""
    loaded = {value.data_ptr() for value in found.values()}
    named = module.named_parameters(remove_duplicate=False)
    return [name for name, value in named if name not in found and value.numel() and value.data_ptr() not in loaded]


def read_weights(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of `model.safetensors` or of all shards of its index, one after the other.

    Raises:
        CheckpointError: no weights, only pickle, a missing or damaged file, or an index that names the wrong shard.
    """
    if (folder / INDEX).exists() and not (folder / WEIGHTS).exists():
        for shard, expected in shards(folder).items():
            with open_tensors(folder / shard) as file:
                held = set(file.keys())
                if absent := expected - held:
                    raise CheckpointError(f"{folder / shard} lacks {_few(sorted(absent))}, which {INDEX} promises")
                for name in sorted(held):
                    yield name, file.get_tensor(name)
        return
    if not (folder / WEIGHTS).exists():
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLE_SUFFIXES)
        if pickles:
            raise CheckpointError(
                f"{folder} holds pickle ({_few(pickles)}), which can run code when opened, but no {WEIGHTS}: convert it"
            )
        raise CheckpointError(f"{folder} has no {WEIGHTS}: it is no model folder, or was not copied whole")
    with open_tensors(folder / WEIGHTS) as file:
        for name in file.keys():  # noqa: SIM118  (a safetensors handle is no dict)
            yield name, file.get_tensor(name)


def shards(folder: Path) -> dict[str, set[str]]:
    """Shard file -> names it must hold."""
    table = read_json(folder / INDEX).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise CheckpointError(f"{folder / INDEX} has no weight_map: copy it again")
    shards: dict[str, set[str]] = {}
    for name, shard in table.items():
        if Path(shard).name != shard:  # an index must not lead out of its folder
            raise CheckpointError(f"{folder / INDEX} names {shard!r}, which is not a file beside it")
        shards.setdefault(shard, set()).add(name)
    return shards


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern is the name, its last part, or a shell pattern of it."""
    last = name.rpartition(".")[2]
    return any(pattern in (name, last) or fnmatchcase(name, pattern) for pattern in patterns)


def as_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """A floating-point dtype by name ("bfloat16", "bf16", "float32", ...). Raises CheckpointError for others."""
    import torch

    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    short = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}
    found = getattr(torch, short.get(dtype, dtype), None)
    if found not in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        raise CheckpointError(f"number format {dtype!r} is unknown: use float32, bfloat16 or float16")
    return found


@contextmanager
def without_init() -> Iterator[None]:
    """Build modules without drawing weights that a file is about to replace (memory is then not even touched)."""
    import torch

    if "transformers.modeling_utils" in sys.modules:
        from transformers.initialization import no_init_weights

        with no_init_weights():
            yield
        return
    names = [name for name in dir(torch.nn.init) if name.endswith("_") and not name.startswith("_")]
    kept = {name: getattr(torch.nn.init, name) for name in names}
    try:
        for name in names:
            setattr(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor)
        yield
    finally:
        for name, function in kept.items():
            setattr(torch.nn.init, name, function)


def _few(names: Sequence[str]) -> str:
    """At most `SHOWN` names."""
    more = f" (+{len(names) - SHOWN} more)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
