"""What a figure was measured on: processor, cores, versions, memory, load, and how fast memory is read."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from unisono.lm.native import kernels

LIBRARIES = ("unisono", "torch", "transformers", "numpy", "safetensors")
READ_BYTES = 1 << 29  # far more than any cache holds


def machine(device: str) -> dict[str, Any]:
    """Processor, cores, memory in GB, system, accelerator, compiled kernels, and the load average when it was asked."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "kernels": kernels.name(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def versions() -> dict[str, str]:
    """Python and the libraries that speed depends on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def peak_memory_mb(device: str) -> float:
    """The most memory that this process has held so far, on the device where there is one, in MB of 10^6 bytes."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        # Not `getrusage`, whose mark may be that of the process that started this one.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def read_bandwidth(device: str, repeats: int = 5, size: int = READ_BYTES) -> list[float]:
    """Bytes a second that the threads in use read from memory in each of some sums over `size` bytes.

    A sum reads and does not write, as products with weights do; a copy would count writes too.
    """
    numbers = torch.ones(size // 4, device=device)
    seconds = [_seconds(numbers.sum, device) for _ in range(repeats + 1)]
    return [size / each for each in seconds[1:]]


def synchronize(device: str) -> None:
    """Wait until an accelerator is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device.startswith("mps"):
        torch.mps.synchronize()


def _seconds(work: Callable[[], Any], device: str) -> float:
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def _memory_gb() -> float | None:
    """Memory of the machine in GB of 10^9 bytes."""
    if not hasattr(os, "sysconf"):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
