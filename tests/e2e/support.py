"""What the end-to-end tests share: synthetic hospitals, small plans."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.testing.federation import run, write_plan  # noqa: E402


def cohort(folder, site, images=40):
    """A synthetic hospital's images; the folder they are in."""
    path = folder / f"data-{site}"
    run("consilium-client", "data", "synth", "-o", path, "--site", site, "--images", images)
    return path


def small_plan(path, rounds=2, **fields):
    return write_plan(path, **{
        "name": "e2e", "rounds": rounds, "quorum": {"fraction": 1.0}, "round_deadline_seconds": 120,
        "model": {"architecture": "simple_cnn", "input_size": 32},
        "training": {"batch_size": 8, "learning_rate": 0.02}, **fields})
