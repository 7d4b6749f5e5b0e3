"""What decoding costs by length: 10 minutes against 1 minute, python benchmarks/decode.py [MODEL] [--json FILE]

Each length runs in a process of its own, so that its peak memory is its own; the two take turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

MINUTES, ROUNDS = (1, 10), 2
CODE = """
import resource, sys, time
from dataclasses import replace
import torch
import unisono
tts = unisono.load(sys.argv[2] or None, device="cpu")
voice = tts.default_voice.tokens
frames = int(float(sys.argv[1]) * 60 * 50)
count = -(-frames // voice.frames)
positions = torch.cat([voice.positions + index * voice.frames for index in range(count)])
kept = positions <= frames
tokens = replace(
    voice,
    text="", text_ids=voice.text_ids.repeat(count)[kept], vectors=voice.vectors.repeat(count, 1)[kept],
    positions=positions[kept], frames=frames, samples=frames * 480,
)
tts.decode(replace(voice))
begin = time.process_time()
speech = tts.decode(tokens)
seconds = time.process_time() - begin
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, speech.duration)
"""


def decode(minutes: int, model: str) -> tuple[float, float]:
    """Processor seconds and peak MB of one process."""
    done = subprocess.run([sys.executable, "-c", CODE, str(minutes), model], capture_output=True, text=True, check=True)
    seconds, peak, _ = map(float, done.stdout.split())
    return seconds, peak


def main(arguments: list[str]) -> int:
    """Measure and print."""
    model = arguments[0] if arguments and not arguments[0].startswith("--") else ""
    runs = [[decode(minutes, model) for minutes in MINUTES] for _ in range(ROUNDS)]
    report = {
        "seconds": {str(m): round(statistics.median(run[i][0] for run in runs), 2) for i, m in enumerate(MINUTES)},
        "peak_mb": {str(m): round(statistics.median(run[i][1] for run in runs)) for i, m in enumerate(MINUTES)},
        "time_ratios": [round(long[0] / short[0], 2) for short, long in runs],
        "memory_ratios": [round(long[1] / short[1], 2) for short, long in runs],
    }
    print(json.dumps(report, indent=2))
    if "--json" in arguments:
        Path(arguments[arguments.index("--json") + 1]).write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
