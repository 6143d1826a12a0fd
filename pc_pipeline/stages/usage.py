"""What a piece of work took of this process."""

import resource
import sys
import time
from dataclasses import dataclass

# What `ru_maxrss` counts in: getrusage(2).
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Usage:
    """Seconds on the clock and on the processor, of all threads, since a start; the most memory (resident, bytes) that
    the process ever had until now."""

    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int


class Meter:
    """Begins to measure where it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def read(self) -> Usage:
        """What was used since."""
        return Usage(
            time.monotonic() - self._wall,
            time.process_time() - self._cpu,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES,
        )
