"""Our training step and python3-torch's, one of each in turn, so that both meet the same machine."""

import json
import os
import pathlib
import random
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.testing.federation import BIN, ROOT  # noqa: E402

BENCH = BIN.parent / "bench"
PYTHON = "/usr/bin/python3"  # Debian's, which has python3-torch


class Stepper:
    """A program that trains a step each time it is asked (training_bench.cc, training_peer.py)."""

    def __init__(self, *command):
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{command[0]} did not begin")

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        """Its last line: what it trained on."""
        self.process.stdin.close()
        last = self.process.stdout.read()
        self.process.wait()
        return json.loads(last)


def interval_of_median(values, draws=2000):
    """The 95% interval of the median, by bootstrap."""
    dice = random.Random(1)
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(draws))
    return medians[round(0.025 * draws)], medians[round(0.975 * draws) - 1]


def compare_steps(architecture, side, batch, repeats, steps, python=PYTHON):
    arguments = (architecture, side, batch, steps, os.cpu_count())
    ours, theirs = [], []
    for _ in range(repeats):
        mine = Stepper(BENCH / "training_bench", *arguments)
        peer = Stepper(python, ROOT / "tests/bench/training_peer.py", *arguments)
        for _ in range(steps):
            ours.append(mine.step())
            theirs.append(peer.step())
        device = mine.close()["device"]
        if peer.close()["device"] != device:
            raise RuntimeError("the two train on different devices")
    ratios = [t / o for o, t in zip(ours, theirs)]
    return {"architecture": architecture, "side": side, "batch": batch, "threads": os.cpu_count(),
            "device": device, "steps": len(ours), "images_per_second": batch / statistics.median(ours),
            "peer_images_per_second": batch / statistics.median(theirs),
            "ratio": statistics.median(ratios), "ratio_95": interval_of_median(ratios)}
