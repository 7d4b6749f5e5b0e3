"""What was measured, as the JSON of design.md and as a table to read."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch

from unisono.bench.budget import bytes_per_token, floors, reference_bytes
from unisono.bench.laps import Laps
from unisono.bench.machine import versions
from unisono.bench.settings import Settings
from unisono.families.tada.card import make_options
from unisono.families.tada.engine import lanes
from unisono.families.tada.speech import TadaSpeech

MS = 1000.0


class Run(NamedTuple):
    """One call: seconds it took, seconds of sound that it made, and seconds of processor that it used on all threads.

    The last does not grow when other work takes the processor away; on an accelerator it says nothing.
    """

    seconds: float
    sound: float
    cpu: float


class Pair(NamedTuple):
    """Two calls, one right after the other."""

    ours: Run
    theirs: Run


@dataclass(frozen=True)
class Measured:
    """Everything a benchmark saw.

    Attributes:
        text: what was spoken. device: where. machine: what it ran on.
        load_seconds: of `unisono.load()`, or of making random weights.
        laps, apart: the pass with timers, by part and as a whole.
        runs: clean passes of the engine. pairs: with those of what it was compared with.
        first_samples: seconds from call to first samples. peak_mb: before anything else ran in this process.
        bandwidth: bytes read a second, the median before and after the runs.
    """

    settings: Settings
    tts: TadaSpeech
    text: str
    device: str
    machine: Mapping[str, Any]
    load_seconds: float
    laps: Laps
    apart: Run
    runs: Sequence[Run]
    pairs: Sequence[Pair]
    first_samples: Sequence[float]
    peak_mb: float
    bandwidth: float


def result(seen: Measured) -> dict[str, Any]:
    """The JSON of `unisono bench` (design.md); what stands beside the contract is under "details".

    Times per token are those of single steps, each of which makes one token's sound: the clean pass's median, split as
    the pass with timers says; the prefill is not in them. `ratio` is seconds of the other over seconds of the engine.
    """
    seconds = statistics.median(run.seconds for run in seen.runs)
    rtf = statistics.median(run.seconds / run.sound for run in seen.runs)
    settings, model = seen.settings, seen.tts.model
    return {
        "machine": dict(seen.machine),
        "versions": versions(),
        "model": settings.model or "builtin",
        "device": seen.device,
        "dtype": str(model.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "rtf": rtf,
        "times_real_time": 1 / rtf,
        "ms_per_token": _per_token(seen, seconds),
        "time_to_first_audio_ms": {
            "p50": MS * statistics.median(seen.first_samples),
            "p95": MS * quantile(seen.first_samples, 0.95),
        },
        "load_s": seen.load_seconds,
        "peak_memory_mb": seen.peak_mb,
        "against": _against(seen),
        "details": _details(seen, seconds),
    }


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of all lies, between neighbours where it falls between."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _per_token(seen: Measured, seconds: float) -> dict[str, float]:
    """Milliseconds a token by part; the total holds what no timer saw, and leaves out the prefill."""
    parts, whole = seen.laps.seconds, seen.apart.seconds
    scale = MS * seconds / whole / max(seen.laps.tokens, 1)
    return {
        **{name: parts[name] * scale for name in ("lm", "head", "decoder")},
        "total": (whole - parts["prefill"]) * scale,
    }


def _against(seen: Measured) -> dict[str, Any] | None:
    """How much faster, per pair of runs."""
    if not seen.pairs:
        return None
    ratios = [pair.theirs.seconds / pair.ours.seconds for pair in seen.pairs]
    return {
        "name": seen.settings.against,
        "ratio_median": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def _details(seen: Measured, seconds: float) -> dict[str, Any]:
    """What was asked for, every run, and the budget."""
    settings, tts = seen.settings, seen.tts
    steps = make_options(tts.card, {"steps": settings.steps}).num_flow_matching_steps
    packing = tts.model.packing
    budget = bytes_per_token(tts.model, tts.model.decoder, steps=steps, packing=packing, tokens=seen.laps.tokens)
    asked = {name: value for name, value in asdict(settings).items() if name not in ("model", "device", "dtype")}
    details = {
        **asked,
        "text": seen.text,
        "steps": steps,
        "quantize": packing,
        "lanes": lanes(tts.model) if settings.batch > 1 else 1,
        "tokens": seen.laps.tokens,
        "seconds": [run.seconds for run in seen.runs],
        "cpu_seconds": [run.cpu for run in seen.runs],
        "sound_seconds": [run.sound for run in seen.runs],
        "prefill_ms": MS * seen.laps.seconds["prefill"] * seconds / seen.apart.seconds,
        "read_gb_per_s": seen.bandwidth / 1e9,
        "bytes_per_token": budget,
        "floor_ms_per_token": floors(budget, seen.bandwidth),
    }
    if str(settings.against).startswith("reference"):
        steps = settings.reference_steps or steps
        separate = settings.against == "reference-separate"
        details["reference_steps"] = steps
        details["reference_bytes_per_token"] = reference_bytes(tts.model, steps=steps, separate=separate)
    if seen.pairs:
        details["against_seconds"] = [pair.theirs.seconds for pair in seen.pairs]
        details["against_cpu_seconds"] = [pair.theirs.cpu for pair in seen.pairs]
        details["cpu_ratio_median"] = statistics.median(pair.theirs.cpu / pair.ours.cpu for pair in seen.pairs)
    return details


def table(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of a report, one row each."""
    details, part, first = report["details"], report["ms_per_token"], report["time_to_first_audio_ms"]
    machine, against, floor = report["machine"], report["against"], details["floor_ms_per_token"]
    place = machine["accelerator"] or f"{machine['processor']}, {machine['cores']} cores"
    threads = _several(report["threads"], "thread")
    if details["lanes"] > 1:
        threads += f" a text, texts on {details['lanes']}"
    rows = [
        ("machine", f"{place}; load average {machine['load_average']}"),
        ("kernels", machine["kernels"] or "torch's alone"),
        ("versions", ", ".join(f"{name} {number}" for name, number in report["versions"].items())),
        ("model", f"{report['model']}, {report['dtype']}, quantize {details['quantize']}, {details['steps']} steps"),
        ("ran", f"on {report['device']}, {threads}, batch {details['batch']}, {_runs(details)}"),
        ("load", f"{report['load_s']:.2f} s"),
        ("speed", f"RTF {report['rtf']:.3f}, {report['times_real_time']:.1f} × real time"),
        ("first audio", f"{first['p50']:.0f} ms (p95 {first['p95']:.0f})"),
        ("prefill", f"{details['prefill_ms']:.1f} ms"),
        ("a token", f"{part['total']:.2f} ms, of which"),
        ("  language model", f"{part['lm']:.2f} ms{_share(floor['lm'], part['lm'])}"),
        ("  flow head", f"{part['head']:.2f} ms{_share(floor['head'], part['head'])}"),
        ("  decoder", f"{part['decoder']:.2f} ms"),
        ("memory", f"{report['peak_memory_mb']:.0f} MB at most; read at {details['read_gb_per_s']:.1f} GB/s"),
    ]
    if against is not None:
        steps = f" at {details['reference_steps']} steps" if "reference_steps" in details else ""
        spread = f"{against['ratio_min']:.2f} to {against['ratio_max']:.2f}"
        rows.append((f"against {against['name']}{steps}", f"{against['ratio_median']:.2f} times as fast ({spread})"))
        if report["device"] == "cpu":
            rows.append(("  by processor time", f"{details['cpu_ratio_median']:.2f}"))
    return rows


def _share(floor: float, measured: float) -> str:
    """How near a part comes to the time of reading its weights."""
    return f" (reading its weights takes {floor:.2f}: {floor / measured:.0%})" if measured > 0 else ""


def _several(count: int, what: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _runs(details: Mapping[str, Any]) -> str:
    """How often, and through what."""
    count = len(details["seconds"])
    return f"{_several(count, 'run')} of {details['tokens']} tokens{' through stream' if details['stream'] else ''}"
