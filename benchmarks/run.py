"""Run the benchmarks of docs/performance.md and write their figures into its tables.

    python benchmarks/run.py                 # all of them, then the tables
    python benchmarks/run.py 1b-int8 builtin # some of them, then the tables
    python benchmarks/run.py --table         # only the tables, from benchmarks/results

Each benchmark is one `unisono bench`, or one of the scripts beside this one, in a process of its own, one after the
other; its JSON goes to benchmarks/results. All of them take about a quarter of an hour on two cores.
The reference loop that they are measured against is `unisono.bench.reference`: it lives in the package, so that
`unisono bench --against reference` works wherever the package is installed, and only scripts and results live here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"
QUIET = 0.75  # load average per core up to which a figure counts as taken alone; our own runs are part of it

BENCHMARKS: Mapping[str, str] = {
    "builtin": "--model builtin --against reference",
    "builtin-stream": "--model builtin --stream",
    "builtin-batch-16": "--model builtin --batch 16 --against single",
    "1b-fp32": "--model random:tada-1b --steps 10 --runs 2 --against reference",
    "1b-int8": "--model random:tada-1b --quantize int8 --steps 10 --runs 2 --against reference",
    "1b-int8-4-steps": "--model random:tada-1b --quantize int8 --steps 4 --runs 2 --against reference"
    " --reference-steps 10",
}
SCRIPTS = ("search", "decode")  # beside this one; they know nothing of the others


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; return an exit code."""
    only_table = list(arguments) == ["--table"]
    known = (*BENCHMARKS, *SCRIPTS)
    names = [] if only_table else list(arguments) or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark is called {unknown[0]!r}, there are {', '.join(known)}", file=sys.stderr)
        return 2
    RESULTS.mkdir(exist_ok=True)
    for name in names:
        if code := run(name):
            return code
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), results()), encoding="utf-8")
    return 0


def run(name: str) -> int:
    """One benchmark, with how busy the machine was before it; returns its exit code."""
    before = os.getloadavg()[0]
    target = RESULTS / f"{name}.json"
    if name in SCRIPTS:
        command = [str(HERE / f"{name}.py")]
    else:
        command = ["-m", "unisono", "bench", *BENCHMARKS[name].split()]
    print(f"{name}: {' '.join(command)}", flush=True)
    code = subprocess.call([sys.executable, *command, "--json", str(target)])
    if code == 0:
        report = json.loads(target.read_text())
        report.setdefault("details", {})["load_before"] = round(before, 2)
        target.write_text(json.dumps(report, indent=2) + "\n")
    return code


def results() -> dict[str, dict[str, Any]]:
    """What was measured so far, by name."""
    found = {name: RESULTS / f"{name}.json" for name in (*BENCHMARKS, *SCRIPTS)}
    return {name: json.loads(path.read_text()) for name, path in found.items() if path.exists()}


def filled(page: str, reports: Mapping[str, Mapping[str, Any]]) -> str:
    """A page with its tables made anew; a table stands between two comments that name it."""
    benches = {name: report for name, report in reports.items() if name not in SCRIPTS}
    tables = {"speed": speed_rows(benches), "budget": budget_rows(benches), "lengths": length_rows(reports)}
    for mark, rows in tables.items():
        head, _, rest = page.partition(f"<!-- {mark} -->\n")
        _, closing, tail = rest.partition(f"<!-- end of {mark} -->")
        if not closing:
            raise SystemExit(f"{PAGE.name} has no table between <!-- {mark} --> and <!-- end of {mark} -->")
        page = f"{head}<!-- {mark} -->\n{rows}{closing}{tail}"
    return page


def speed_rows(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """What users feel, a row each."""
    lines = [
        "| benchmark | RTF (× real time) | ms a token | first audio p50, p95 | load | memory | ratio (spread) | on |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, report in reports.items():
        first, against = report["time_to_first_audio_ms"], report["against"]
        ratio = "" if against is None else (
            f"{against['ratio_median']:.2f} × {against['name']} "
            f"({against['ratio_min']:.2f} to {against['ratio_max']:.2f})"
        )  # fmt: skip
        lines.append(
            f"| `{name}` | {report['rtf']:.3f} ({report['times_real_time']:.1f}) "
            f"| {report['ms_per_token']['total']:.1f} | {first['p50']:.0f}, {first['p95']:.0f} ms "
            f"| {report['load_s']:.2f} s | {report['peak_memory_mb']:.0f} MB | {ratio} | {taken(report)} |"
        )
    return "\n".join(lines) + "\n"


def budget_rows(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Bytes, floor, measured and their ratio for the parts of a token."""
    lines = [
        "| benchmark | part | MB read a token | floor, ms | measured, ms | floor / measured |",
        "|---|---|---|---|---|---|",
    ]
    for name, report in reports.items():
        details, part = report["details"], report["ms_per_token"]
        count, floor = details["bytes_per_token"], details["floor_ms_per_token"]
        head = count["head_once"] + count["head_steps"]
        speed = f"{details['read_gb_per_s']:.1f} GB/s"
        rows = (
            ("language model", count["lm"], floor["lm"], part["lm"]),
            (f"head, {details['steps']} steps", head, floor["head"], part["head"]),
            ("both", count["lm"] + head, floor["total"], part["lm"] + part["head"]),
        )
        for index, (label, read, least, measured) in enumerate(rows):
            shown = f"`{name}`, {speed}" if index == 0 else ""
            lines.append(
                f"| {shown} | {label} | {read / 1e6:.1f} | {least:.2f} | {measured:.2f} | {least / measured:.0%} |"
            )
        lines.append(f"| | decoder | {count['decoder'] / 1e6:.1f} | | {part['decoder']:.2f} | |")
    return "\n".join(lines) + "\n"


def length_rows(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The search and decoding by length, as far as they were measured."""
    lines = ["| what | measured | wanted |", "|---|---|---|"]
    if (found := reports.get("search")) is not None:
        loop, lists = found["loop_over_arrays"], found["loop_over_lists"]
        size = f"{found['frames']} frames, {found['tokens']} tokens"
        lines += [
            f"| search, {size}, against the double loop over arrays{under(found)} "
            f"| {loop['median']} × ({loop['min']} to {loop['max']}; {found['search_ms']} ms) | 50 × |",
            f"| the same against the double loop over Python lists | {lists['median']} × | |",
        ]
    if (found := reports.get("decode")) is not None:
        seconds, peak = found["seconds"], found["peak_mb"]
        lines += [
            f"| decode of 10 minutes against 1 minute, built-in model, processor time{under(found)} "
            f"| {both(found['time_ratios'])} ({seconds['1']} s, {seconds['10']} s) | 11 × |",
            f"| peak memory of the process | {both(found['memory_ratios'])} ({peak['1']} MB, {peak['10']} MB) | 2 × |",
        ]
    return "\n".join(lines) + "\n"


def both(ratios: Sequence[float]) -> str:
    """Ratios of some rounds."""
    return " and ".join(f"{ratio} ×" for ratio in ratios)


def under(report: Mapping[str, Any]) -> str:
    """Whether the machine had other work, as far as that is known."""
    before = report.get("details", {}).get("load_before")
    busy = before is None or before > QUIET * (os.cpu_count() or 1)
    return f", **under other load ({before})**" if busy else ""


def taken(report: Mapping[str, Any]) -> str:
    """Threads and machine, and whether it had other work."""
    machine, before = report["machine"], report["details"].get("load_before", report["machine"]["load_average"])
    busy = "" if before is not None and before <= QUIET * machine["cores"] else f", **under other load ({before})**"
    place = machine["accelerator"] or f"{machine['processor']}, {machine['cores']} cores"
    lanes = report["details"].get("lanes", 1)
    threads = f"{report['threads']} a text, texts on {lanes}" if lanes > 1 else report["threads"]
    return f"{threads} threads, {place}{busy}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
