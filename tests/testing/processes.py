"""What a process takes of the machine, as Linux tells it."""

import os
import pathlib


def resident(pid):
    """Bytes of a process's own memory that are in use: without files that it has mapped for a while."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has no memory")


def cpu_seconds(pid):
    """What a process has used of the processors."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))
