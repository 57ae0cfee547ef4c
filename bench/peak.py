"""Run a command; print its seconds, and the most memory that it had at once, as a line of JSON.

Usage, in a container of its own: peak.py COMMAND... Memory is what all processes here have that is
no copy of a file, in bytes.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress

# Seconds between two looks.
PAUSE = 0.05


def resident():
    """Return how many bytes of memory the processes have, but for this one."""
    total = 0
    for number in filter(str.isdigit, os.listdir("/proc")):
        # It may end meanwhile.
        with suppress(OSError), open(f"/proc/{number}/status") as file:
            if int(number) != os.getpid():
                lines = dict(line.split(":", 1) for line in file)
                total += int(lines.get("RssAnon", "0 kB").split()[0]) * 1024
    return total


began, most = time.monotonic(), 0
process = subprocess.Popen(sys.argv[1:])
while process.poll() is None:
    most = max(most, resident())
    time.sleep(PAUSE)
print(json.dumps({"seconds": time.monotonic() - began, "bytes": most}), flush=True)
sys.exit(process.returncode)
