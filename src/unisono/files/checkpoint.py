"""Strict checkpoints: a folder with `config.json` and safetensors becomes a module, or one sentence says why not.

Names in files are the published ones. Per class, `ignored_keys` are dropped on purpose, `optional_keys` may be missing
because they are computed or tied; every other stray, missing or misshapen tensor is an error that names it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from unisono.errors import CheckpointError
from unisono.files.locate import CONFIG, find_folder, read_json
from unisono.files.outputs import check_folder, replacing
from unisono.files.tensors import PICKLE_SUFFIXES, SUFFIX, Entry, TensorFile, save_tensors

if TYPE_CHECKING:
    import torch
    from torch import nn

Module = TypeVar("Module", bound="nn.Module")

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD = re.compile(r"[\w-][\w.-]*\.safetensors")
UNUSABLE = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError)  # what wrong values of a key cause
SHOWN = 4  # names listed in an error
_BUILDING = threading.RLock()  # building without weights changes torch for a moment
# Keys that transformers writes into config.json files; they say nothing about the architecture.
# fmt: off
BOOKKEEPING = frozenset({
    "_attn_implementation_autoset", "_name_or_path", "add_cross_attention", "architectures", "auto_map",
    "bad_words_ids", "chunk_size_feed_forward", "cross_attention_hidden_size", "dtype", "finetuning_task",
    "id2label", "is_decoder", "is_encoder_decoder", "label2id", "model_type", "output_attentions",
    "output_hidden_states", "prefix", "problem_type", "pruned_heads", "return_dict", "task_specific_params",
    "tie_encoder_decoder", "tokenizer_class", "torch_dtype", "torchscript", "transformers_version",
    "use_bfloat16",
})
# fmt: on


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
        with without_weights():
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
        raise CheckpointError(f"{folder / CONFIG} has keys that {config_class.__name__} does not know: {few(unknown)}")
    try:
        return config_class(**kept)
    except UNUSABLE as problem:
        raise CheckpointError(f"{folder / CONFIG} cannot be used: {problem}") from problem


def _construct(cls: type, config: Any, folder: Path) -> Any:
    """The module; values of the right name that no module can be built from are the file's fault."""
    try:
        return cls(config)
    except (*UNUSABLE, RuntimeError) as problem:
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

    Headers are held against the module before the first weight is read. Each weight is read into the memory it stays
    in, in the format and on the device it will have: at the peak memory holds the weights once.

    Args:
        module: a built module, best one of `without_weights`; its parameters are replaced, never copied into.
        dtype: of floating-point weights; None = float32. Buffers that no file holds keep theirs.
        ignored, optional: patterns; default are the module's `ignored_keys` and `optional_keys`.

    Raises:
        CheckpointError: see `Checkpoint.from_pretrained`.
    """
    import torch

    ignored = getattr(module, "ignored_keys", ()) if ignored is None else ignored
    optional = getattr(module, "optional_keys", ()) if optional is None else optional
    dtype = dtype or torch.float32
    found: dict[str, torch.Tensor] = {}
    with ExitStack() as stack:
        files = [stack.enter_context(TensorFile(path)) for path in weight_files(folder)]
        held = [(file, name) for file in files for name in file.entries if not matches(name, ignored)]
        _check_fit(module, {name: file.entries[name] for file, name in held}, folder, optional)
        for file, name in held:
            floating = file.entries[name].dtype.is_floating_point
            found[name] = file.read(name, dtype if floating else None, device)
    _put(module, found)
    if untied := _untied(module, found):
        raise CheckpointError(f"{folder} does not fit {type(module).__name__}: missing {few(untied)}")
    return module if device is None else module.to(device)


def _check_fit(module: nn.Module, held: Mapping[str, Entry], folder: Path, optional: Sequence[str]) -> None:
    """Raise CheckpointError unless the tensors of a file are those of a module."""
    wanted = module.state_dict()
    stray = [name for name in held if name not in wanted]
    misfit = [note for name in held if name in wanted and (note := _misfit(name, held[name], wanted[name]))]
    missing = [name for name in wanted if name not in held and not matches(name, optional)]
    problems = [
        f"{label} {few(names)}"
        for label, names in (("missing", missing), ("unknown", stray), ("misfit", misfit))
        if names
    ]
    if problems:
        raise CheckpointError(f"{folder} does not fit {type(module).__name__}: {'; '.join(problems)}")


def _misfit(name: str, entry: Entry, wanted: torch.Tensor) -> str:
    """What is wrong with a stored tensor; "" = nothing."""
    if entry.shape != tuple(wanted.shape):
        return f"{name} {list(entry.shape)} instead of {list(wanted.shape)}"
    both = entry.dtype is not None and entry.dtype.is_floating_point and wanted.is_floating_point()
    if both or entry.dtype == wanted.dtype:
        return ""
    return f"{name} {entry.dtype or entry.format} instead of {wanted.dtype}"


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


def weight_files(folder: Path) -> list[Path]:
    """`model.safetensors`, or the shards that its index names.

    Raises:
        CheckpointError: no weights, only pickle, a missing or damaged shard, or an index that names the wrong one.
    """
    if (folder / INDEX).exists() and not (folder / WEIGHTS).exists():
        shards = read_index(folder)
        absent = [name for name in shards if not (folder / name).exists()]
        if absent:
            raise CheckpointError(
                f"{folder / absent[0]} does not exist, but {INDEX} names it ({len(absent)} of {len(shards)} shards are "
                "missing): copy or download the folder again"
            )
        for shard, promised in shards.items():
            with TensorFile(folder / shard) as file:
                if lacking := promised - set(file.entries):
                    raise CheckpointError(f"{folder / shard} lacks {few(sorted(lacking))}, which {INDEX} promises")
                if beyond := set(file.entries) - promised:
                    raise CheckpointError(f"{folder / shard} holds {few(sorted(beyond))}, unknown to {INDEX}")
        return [folder / shard for shard in shards]
    if not (folder / WEIGHTS).exists():
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLE_SUFFIXES)
        if pickles:
            raise CheckpointError(
                f"{folder} holds pickle ({few(pickles)}), which can run code when opened, but no {WEIGHTS}: convert it"
            )
        raise CheckpointError(f"{folder} has no {WEIGHTS}: it is no model folder, or was not copied whole")
    return [folder / WEIGHTS]


def read_index(folder: Path) -> dict[str, set[str]]:
    """Shards of `model.safetensors.index.json` -> names they must hold. Raises CheckpointError for a foreign index."""
    table = read_json(folder / INDEX).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise CheckpointError(f"{folder / INDEX} has no weight_map: copy it again")
    shards: dict[str, set[str]] = {}
    for name, shard in table.items():
        # an index must not lead out of its folder, on any system
        if not isinstance(shard, str) or not SHARD.fullmatch(shard):
            raise CheckpointError(f"{folder / INDEX} names {str(shard)[:200]!r}, which is no {SUFFIX} file beside it")
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
    if found not in (torch.float32, torch.float16, torch.bfloat16):
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


@contextmanager
def without_weights() -> Iterator[None]:
    """Build modules whose parameters have shapes and no memory, until a file's tensors are put in their place.

    Buffers are computed as ever, since some are in no file. Other threads build their modules as ever.
    """
    import torch
    from torch import nn

    owner, register, norm = threading.get_ident(), nn.Module.register_parameter, torch.norm_except_dim

    def register_shape(self: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and not parameter.is_meta and threading.get_ident() == owner:
            parameter = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
        register(self, name, parameter)

    def norm_shape(v: torch.Tensor, pow: int = 2, dim: int = 0) -> torch.Tensor:
        if not v.is_meta:
            return norm(v, pow, dim)
        # torch would import a symbolic algebra, seven seconds and eighty megabytes, to find the shape of a weight norm
        return v.new_empty([size if axis == dim else 1 for axis, size in enumerate(v.shape)])

    with _BUILDING, without_init():
        nn.Module.register_parameter, torch.norm_except_dim = register_shape, norm_shape
        try:
            yield
        finally:
            nn.Module.register_parameter, torch.norm_except_dim = register, norm


def few(names: Sequence[str]) -> str:
    """At most `SHOWN` names."""
    more = f" (+{len(names) - SHOWN} more)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
