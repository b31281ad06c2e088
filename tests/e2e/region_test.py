"""Regions: coordinators that are hospitals of a higher one. Real processes on both levels, real TLS."""

import pathlib
import sys
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import CohortTest, cohort, small_plan  # noqa: E402
from tests.testing.federation import Federation, run, wait_until  # noqa: E402
from tests.testing.model_reader import read_model  # noqa: E402

REGIONS = {"east": ("north", "south"), "west": ("upland", "valley")}
TRAINING = {"batch_size": 8, "learning_rate": 0.02}


class RegionTest(CohortTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        sites = [site for region in REGIONS.values() for site in region]
        cls.cohort_of = dict(zip(sites, [*cls.cohorts, cohort(cls.folder, 3, images=24)]))

    def train(self, federation, plan, *options):
        shown = federation.wait(federation.submit(plan, *options))
        self.assertEqual(shown["status"], "COMPLETED", shown["reason"])
        path = plan.with_suffix(f".{federation.folder.name}.safetensors")
        federation.ctl("model", "pull", shown["run"], "-o", path)
        return shown, read_model(path)[0]

    def assert_close(self, tree, flat):
        """A step or two of training after a rounding more: far below what training changes."""
        for name, values in flat.items():
            numpy.testing.assert_allclose(tree[name], values, rtol=1e-3, atol=1e-4, err_msg=name)

    def test_tree_trains_what_the_flat_federation_does(self):
        flat, top = Federation(self.folder / "flat"), Federation(self.folder / "top")
        for federation in (flat, top):
            federation.folder.mkdir()
        regions = {name: Federation(self.folder / name) for name in REGIONS}
        with flat, top:
            for name, region in regions.items():
                region.folder.mkdir()
                region.__enter__()
                self.addCleanup(region.__exit__)
                region.become_region(top, name)
                for site in REGIONS[name]:
                    for federation in (region, flat):
                        federation.join(site, self.cohort_of[site], threads=1)
            for name, region in regions.items():
                for site in REGIONS[name]:
                    region.start(site)

            with self.subTest("same model"):
                plan = small_plan(self.folder / "plan.yaml", rounds=3, seed=5, training=TRAINING)
                initial = self.folder / "initial.safetensors"
                run("consilium-client", "model", "init", "--plan", plan, "-o", initial)
                shown, tree = self.train(top, plan, "--init", initial)
                for site in ("north", "south", "upland", "valley"):
                    flat.start(site)
                shown_flat, model = self.train(flat, plan, "--init", initial)
                self.assert_close(tree, model)
                changed = max(abs(model[k] - v).max() for k, v in read_model(initial)[0].items())
                self.assertGreater(changed, 0.01)  # or closeness would say nothing
                # One region counts with the images of its hospitals.
                def examples(view, sites):
                    return sum(t["train_examples"] for t in view["tasks"]
                               if t["round"] == 1 and t["site"] in sites)
                for region, sites in REGIONS.items():
                    self.assertEqual(examples(shown, [region]), examples(shown_flat, sites))
                # Every hospital's images scored the last model, counted once.
                self.assertEqual(shown["evaluations"][-1]["pooled"]["examples"],
                                 shown_flat["evaluations"][-1]["pooled"]["examples"])

            with self.subTest("the run has the same name in each region, and its models are theirs"):
                for region in regions.values():
                    below = region.show(shown["run"])
                    self.assertEqual(below["status"], "COMPLETED", below["reason"])
                    self.assertEqual([m["digest"] for m in below["models"]],
                                     [m["digest"] for m in shown["models"]])
                site = REGIONS["east"][0]
                pulled = run("consilium-client", "pull", "--dir", regions["east"].home(site), "--run", shown["run"],
                             check=False)
                self.assertEqual(pulled.returncode, 0, pulled.stderr)

            with self.subTest("without an initial model, encoded, a part of it frozen, the server's own step"):
                plan = small_plan(self.folder / "other.yaml", rounds=2, seed=6,
                                  model={"architecture": "resnet18", "input_size": 32},
                                  training={**TRAINING, "stages": [{"tensors": ["conv1", "bn1"], "frozen": 1}]},
                                  encoding={"update": "int8"},
                                  strategy={"name": "fedavgm", "server_learning_rate": 1, "server_momentum": 0.5})
                shown, _ = self.train(top, plan)
                sizes = [t["update_bytes"] for t in shown["tasks"] if t["kind"] == "train"]
                self.assertLess(max(sizes), 0.3 * shown["models"][0]["bytes"])

            with self.subTest("a plan that cannot go through a region is refused, with the reason"):
                plan = small_plan(self.folder / "scaffold.yaml", strategy={"name": "scaffold"}, training=TRAINING)
                shown = top.wait(top.submit(plan, "--init", initial))
                self.assertEqual(shown["status"], "PAUSED")
                self.assertIn("strategy.name: scaffold", shown["reason"])

            with self.subTest("a region that dies and comes back goes on"):
                plan = small_plan(self.folder / "long.yaml", rounds=4, seed=8, training=TRAINING)
                running = top.submit(plan, "--init", initial)
                wait_until(lambda: top.show(running)["round"] >= 2, what="the second round")
                east = regions["east"]
                east.stop("coordinator", 9)
                (east.folder / "coordinator.log").unlink()
                east.serve()
                shown = top.wait(running)
                self.assertEqual(shown["status"], "COMPLETED", shown["reason"])

            with self.subTest("a region that was away joins in a later round"):
                west = regions["west"]
                west.stop("coordinator")
                plan = small_plan(self.folder / "late.yaml", rounds=5, seed=10, training=TRAINING,
                                  quorum={"fraction": 0.5}, round_deadline_seconds=12)
                running = top.submit(plan, "--init", initial)
                wait_until(lambda: top.show(running)["round"] >= 2, what="the second round")
                (west.folder / "coordinator.log").unlink()
                west.serve()
                shown = top.wait(running)
                self.assertEqual(shown["status"], "DEGRADED", shown["reason"])
                self.assertIn("west missed round", shown["reason"])
                below = west.show(running)
                self.assertGreaterEqual(below["models"][0]["round"], 1)
                self.assertEqual(below["models"][-1]["digest"], shown["models"][-1]["digest"])

            with self.subTest("a run that is cancelled above ends below"):
                plan = small_plan(self.folder / "cancelled.yaml", rounds=50, seed=9, training=TRAINING)
                running = top.submit(plan, "--init", initial)
                wait_until(lambda: top.show(running)["round"] >= 2, what="the second round")
                top.ctl("run", "cancel", running)
                wait_until(lambda: all(not [t for t in region.show(running)["tasks"] if t["status"] == "open"]
                                       for region in regions.values()), what="the end of the hospitals' tasks")

            with self.subTest("the regions' folders are whole"):
                for region in regions.values():
                    region.stop("coordinator")
                    checked = run("consilium-server", "check", "--dir", region.server_dir, check=False)
                    self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


if __name__ == "__main__":
    unittest.main()
