"""Peak memory of a process.

Few modules are imported, because contenders.py measures the imports of others after this one.
"""

import re
import resource
import sys


def peak_mb() -> float:
    """Peak memory of this process so far, in units of 1,000,000 bytes.

    On Linux, `ru_maxrss` of a new process starts at its parent's peak, so a small process would
    seem as large as the benchmark that starts it. /proc counts from the start of the program.
    """
    if sys.platform == "linux":
        with open("/proc/self/status", encoding="utf-8") as status:  # noqa: PTH123
            [kibibytes] = re.findall(r"^VmHWM:\s+(\d+) kB", status.read(), re.MULTILINE)
        return int(kibibytes) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts in bytes, others in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
