"""Random checkpoints with the published names and shapes, at full or reduced depth, and what loading them takes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import torch
from published_models import write_tokenizer

from unisono import hub
from unisono.bench.random_models import SHAPES
from unisono.files.tensors import Content, write_tensors

MANIFESTS = Path(__file__).parents[2] / "golden" / "tada" / "state_dict_manifests.json"
FORMATS = {"bfloat16": "BF16", "bool": "BOOL"}
SIZES = {"bfloat16": 2, "bool": 1}
BLOCK = 1 << 20  # random numbers that are repeated: what counts here is their place and number
# config.json of HumeAI/tada-1b (spec section 2.1).
CONFIG = {
    **SHAPES["tada-1b"],
    "model_type": "llama",
    "architectures": ["TadaForCausalLM"],
    "torch_dtype": "bfloat16",
    "bos_token_id": 128000,
    "eos_token_id": 128001,
}


def manifest(module: str, layers: int | None = None) -> dict[str, tuple[list[int], str]]:
    """Names, shapes and formats of a published module; of stacks of layers only the first `layers`."""
    tensors = json.loads(MANIFESTS.read_text())[module]["tensors"]
    if layers is None:
        return tensors
    kept = re.compile(r"(.*\.)?layers\.(\d+)\.")
    return {name: entry for name, entry in tensors.items() if (m := kept.match(name)) is None or int(m[2]) < layers}


def write_random(path: Path, entries: dict, only: list[str]) -> None:
    """One file of random numbers, written without holding them."""
    torch.manual_seed(0)
    block = (0.02 * torch.randn(BLOCK)).bfloat16().view(torch.uint8).numpy().tobytes()
    ones = {"BOOL": b"\x01" * (2 * BLOCK), "BF16": torch.ones(BLOCK).bfloat16().view(torch.uint8).numpy().tobytes()}

    def pieces(size, source):
        for start in range(0, size, len(source)):
            yield source[: size - start]

    contents = []
    for name in sorted(only, key=lambda name: (entries[name][1] == "bool", name)):
        shape, dtype = entries[name]
        size = SIZES[dtype] * torch.Size(shape).numel()
        plain = len(shape) > 1 and not name.endswith(("alpha", "original0", "_precomputed_mask"))
        source = block if plain or name.endswith("bias") else ones[FORMATS[dtype]]
        contents.append(Content(name, FORMATS[dtype], shape, pieces(size, source)))
    write_tensors(path, contents, {"format": "pt"})


def write_sharded(folder: Path, entries: dict, shards: int) -> None:
    """Shards of the language model and their index."""
    names = list(entries)
    place = {
        name: f"model-{1 + i * shards // len(names):05d}-of-{shards:05d}.safetensors" for i, name in enumerate(names)
    }
    for shard in sorted(set(place.values())):
        write_random(folder / shard, entries, [name for name in names if place[name] == shard])
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": place}))


def build_full(root: Path, layers: int | None, shards: int = 4) -> Path:
    """`root/tada-1b` and the decoder of `root/tada-codec` at the published widths; returns the former."""
    folder, decoder = root / "tada-1b", root / "tada-codec" / "decoder"
    folder.mkdir(parents=True)
    decoder.mkdir(parents=True)
    depth = {} if layers is None else {"num_hidden_layers": layers, "head_layers": layers}
    (folder / "config.json").write_text(json.dumps({**CONFIG, **depth}))
    write_sharded(folder, manifest("tada-1b", layers), shards)
    attention = {} if layers is None else {"num_attn_layers": layers}
    (decoder / "config.json").write_text(json.dumps({"architectures": ["Decoder"], **attention}))
    entries = manifest("decoder", layers)
    write_random(decoder / "model.safetensors", entries, list(entries))
    write_tokenizer(folder)
    card = {"family": "tada", "style": "tada", "leading_space": False, "speaker_prompt": False, "end_vector": True}
    # random durations would make seconds of sound of every token, whose waveforms would outweigh what is measured
    (folder / "unisono.json").write_text(json.dumps({**card, "show_prompt_text": False, "max_gap": 4}))
    return folder


MEASURE = """
import sys, json
import unisono, numpy, torch
import unisono.families.tada.family, unisono.text
from unisono import hub
from unisono.bench.random_models import SHAPES

def resident(key):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(key))

warm = torch.nn.functional.scaled_dot_product_attention(*3 * [torch.ones(1, 1, 2, 8, dtype=torch.bfloat16)])
before = resident("VmRSS")
model = hub.load(sys.argv[1], device="cpu", dtype=sys.argv[2])
loaded = resident("VmHWM")
speech = model.say("Hello there.", steps=2)
lm, codec = model.model, model.model.decoder
weights = sum(t.nbytes for part in (lm, codec) for t in (*part.parameters(), *part.buffers()))
print(json.dumps({
    "before": before, "loaded": loaded - before, "spoken": resident("VmHWM") - before, "weights": weights,
    "algebra": "sympy" in sys.modules,  # what torch's meta device would import, eighty megabytes
    "samples": len(speech.audio), "finite": bool(numpy.isfinite(speech.audio).all()), "tokens": len(speech.tokens),
}))
"""


def measure(folder: Path, dtype: str = "bfloat16") -> dict:
    """Peak memory in bytes of a process that loads a model and speaks a few tokens, above what its imports take."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(hub.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), dtype],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
