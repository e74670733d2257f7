"""Peak memory of a process, told by the process itself.

What a parent hears of a child when it ends (``ru_maxrss``) may be the parent's own peak: a child begins in its
parent's memory, and that counts.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_mb() -> int:
    """Peak resident memory of this process since it began its program, in megabytes of 2^20 bytes."""
    try:
        lines = STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux: what the process is told of itself
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return round(kilobytes / 1024)
