"""What the drivers share: figures, targets, and how they are shown."""

import json
import os
import pathlib
import platform
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.testing.federation import ROOT, run  # noqa: E402


class Results:
    """Figures and targets as they come in."""

    def __init__(self):
        self.figures = {}
        self.targets = []

    def measure(self, measurement, *arguments, **options):
        """Runs a measurement; one that breaks is a target missed, and the others go on."""
        try:
            measurement(self, *arguments, **options)
        except Exception as error:  # whatever it was: the table must say so
            print(f"{measurement.__name__}: {error}\n{getattr(error, 'stderr', None) or ''}",
                  file=sys.stderr)
            self.target(f"{measurement.__name__} (stopped: see above)", 1, 0)

    def target(self, name, value, limit, at_least=False, unit=""):
        holds = value >= limit if at_least else value <= limit
        self.targets.append({"name": name, "value": value, "limit": limit, "at_least": at_least,
                             "unit": unit, "holds": holds})

    def finish(self, json_file=None):
        """Prints the table, writes the file; the exit code: 0 only where every target holds."""
        print(f"\n{'target':<58}{'measured':>12}{'wanted':>14}")
        for t in self.targets:
            wanted = f"{'>=' if t['at_least'] else '<='} {t['limit']:g} {t['unit']}"
            print(f"{t['name']:<58}{t['value']:>12.4g}{wanted:>14}  {'ok' if t['holds'] else 'MISSED'}")
        missed = [t["name"] for t in self.targets if not t["holds"]]
        print(f"\n{self.figures['seconds']:.0f} s; "
              + (f"missed: {', '.join(missed)}" if missed else "every target that was measured holds"))
        if json_file:
            json_file.write_text(json.dumps({"machine": machine(), "targets": self.targets,
                                             "figures": self.figures}, indent=2) + "\n")
        return 1 if missed else 0


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True).stdout.strip()
    return {"cpu": model, "cores": os.cpu_count(), "commit": commit,
            "libtorch": run("consilium-client", "--version").stdout.splitlines()[1:]}
