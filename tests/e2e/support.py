"""What the end-to-end tests share: synthetic hospitals, small plans."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from PIL import Image

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


def calibrated_model(folder, data, rounds):
    """A small model that was trained on these images, and its calibration: two files."""
    model, calibration = folder / "model.safetensors", folder / "calibration"
    run("consilium-client", "train", "--plan", small_plan(folder / "plan.yaml", rounds), "--data", data, "--threads",
        1, "-o", model)
    run("consilium-client", "calibrate", "--model", model, "--data", data, "-o", calibration)
    return model, calibration


def dicom(folder, picture, number, **tags):
    """A picture as a DICOM file, by DCMTK's own tool."""
    jpeg, path = folder / f"{number}.jpg", folder / f"{number}.dcm"
    Image.open(picture).convert("L").save(jpeg)
    keys = [word for name, value in tags.items() for word in ("-k", f"{name}={value}")]
    subprocess.run(["img2dcm", "--no-checks", *keys, jpeg, path], check=True, capture_output=True)
    return path


@contextlib.contextmanager
def environment(**variables):
    """The variables of the programs that are started meanwhile; None takes one away."""
    before = dict(os.environ)
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class CohortTest(unittest.TestCase):
    """Tests with a folder of their own and the images of three synthetic hospitals."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="consilium-e2e-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.cohorts = [cohort(cls.folder, site) for site in range(3)]

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()
