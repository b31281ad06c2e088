"""Tensors that a plan leaves to each hospital: trained there, used there, and never sent."""

import pathlib
import sys
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import CohortTest, small_plan  # noqa: E402
from tests.testing.federation import Federation, run  # noqa: E402
from tests.testing.model_reader import read_model  # noqa: E402

SITES = ("north", "south")


def is_norm(name):
    return ".bn" in f".{name}" or "downsample.1" in name


class LocalTensorsTest(CohortTest):
    def test_norms_stay_in_each_hospital(self):
        with Federation() as federation:
            for i, site in enumerate(SITES):
                federation.join(site, self.cohorts[i])
            plan = small_plan(federation.folder / "plan.yaml", rounds=2,
                              model={"architecture": "resnet18", "input_size": 32,
                                     "local_tensors": ["norm"]})
            initial = federation.folder / "initial.safetensors"
            run("consilium-client", "model", "init", "--plan", plan, "-o", initial)
            for site in SITES:
                federation.start(site)
            shown = federation.wait(federation.submit(plan, "--init", initial))
            self.assertEqual(shown["status"], "COMPLETED", shown["reason"])

            north = federation.home("north")
            run("consilium-client", "pull", "--dir", north)
            before, _ = read_model(initial)
            after, _ = read_model(north / "models" / "pulled.safetensors")
            for name, values in after.items():
                same = numpy.array_equal(values, before[name])
                self.assertEqual(same, is_norm(name), name)

            kept = {}
            for site in SITES:
                files = sorted((federation.home(site) / "local").iterdir())
                self.assertEqual(len(files), 2)  # after each round
                kept[site], _ = read_model(files[-1])
                self.assertTrue(all(map(is_norm, kept[site])))
                self.assertEqual(len(kept[site]), sum(map(is_norm, after)))
            name = "layer1.0.bn1.running_mean"
            self.assertFalse(numpy.array_equal(kept["north"][name], after[name]))
            self.assertFalse(numpy.array_equal(kept["north"][name], kept["south"][name]))

            # What predicts here is the global model with this hospital's own norms.
            image = next(self.cohorts[0].rglob("*.png"))
            own = run("consilium-client", "predict", "--dir", north, "--json", image).stdout
            bare = run("consilium-client", "predict", "--model", north / "models" / "pulled.safetensors",
                       "--json", image).stdout
            self.assertNotEqual(own, bare)


if __name__ == "__main__":
    unittest.main()
