"""How much of the lungs is affected: a unet from hospitals that know different things of their pictures."""

import csv
import json
import unittest

import numpy
from PIL import Image

from support import CohortTest, cohort, small_plan
from tests.testing.federation import Federation, run

TISSUES = ["elsewhere", "lung", "opacity"]
SIDE = 64


def share_affected(data, name):
    """Of the lungs of a synthetic picture, by its masks."""
    lungs, opacities = (numpy.asarray(Image.open(data / "masks" / kind / name)) > 127
                        for kind in ("lungs", "opacities"))
    return (lungs & opacities).sum() / lungs.sum()


def write_severity(data):
    """The scores of all pictures, as experts would give them, to quarters of a point."""
    path = data / "severity.csv"
    with open(path, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["path", "geographic_extent", "opacity"])
        for picture in sorted((data / "images").iterdir()):
            share = share_affected(data, picture.name)
            writer.writerow([picture.name, round(32 * share) / 4, round(24 * share) / 4])
    return path


class ExtentTest(CohortTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.test = cohort(cls.folder, 3, 40)
        cls.severity = write_severity(cls.test)
        north, south, west = cls.cohorts
        with Federation() as federation:
            federation.join("north", north, lung_masks=[str(north / "masks/lungs")],
                            opacity_masks=[str(north / "masks/opacities")])
            federation.join("south", south, lung_masks=[str(south / "masks/lungs")],
                            severity=str(write_severity(south)))
            federation.join("west", west)
            for site in ("north", "south", "west"):
                federation.start(site)
            run_id = federation.submit(small_plan(
                cls.folder / "plan.yaml", rounds=10, quorum={"count": 2}, round_deadline_seconds=300,
                model={"architecture": "unet", "input_size": SIDE, "classes": TISSUES},
                training={"local_epochs": 3, "batch_size": 8, "optimizer": "adamw", "learning_rate": 0.003,
                          "class_weights": "none"}))
            cls.shown = federation.wait(run_id)
            cls.logs = {site: federation.log(site) for site in ("north", "south", "west")}
            cls.model = cls.folder / "unet.safetensors"
            federation.ctl("model", "pull", run_id, "-o", cls.model)

    def test_hospitals_train_with_what_they_know(self):
        self.assertEqual(self.shown["status"], "DEGRADED", self.shown["reason"])
        self.assertIn("west", self.shown["reason"])
        self.assertIn("no training image with a mask in data.lung_masks", self.logs["west"])

    def test_lungs_are_found_and_the_extent_agrees(self):
        done = run("consilium-client", "evaluate", "--model", self.model, "--data", self.test, "--split",
                   "all", "--lung-masks", self.test / "masks/lungs", "--opacity-masks",
                   self.test / "masks/opacities", "--severity", self.severity, "--json")
        shown = json.loads(done.stdout)
        self.assertEqual(shown["pictures_with_lung_mask"], 40)
        self.assertGreater(shown["dice"]["lungs"], 0.7)
        for score in ("geographic_extent", "opacity"):
            agreement = shown[score]
            self.assertEqual(agreement["pictures"], 40)
            self.assertGreater(agreement["correlation"]["value"], 0.5)
            self.assertLess(agreement["mean_absolute_error"]["value"], agreement["error_of_median"])

    def test_each_lung_has_its_extent_and_an_overlay(self):
        done = run("consilium-client", "extent", "--model", self.model, "--json", "-o",
                   self.folder / "overlays", self.test / "images")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(lines), 40)
        for line in lines:
            for lung in ("right_lung", "left_lung"):
                self.assertTrue(0 <= line[lung]["affected"] <= 1)
            self.assertTrue(0 <= line["geographic_extent"] <= 8)
            self.assertTrue(0 <= line["opacity"] <= 6)
            with Image.open(line["overlay"]) as overlay:
                overlay.verify()
        table = run("consilium-client", "extent", "--model", self.model, self.test / "images")
        self.assertIn("right lung", table.stdout)
        self.assertIn("not a medical device", table.stderr)

    def test_what_wants_a_class_refuses_the_model(self):
        for command in (["predict", "--model", self.model, self.test / "images"],
                        ["calibrate", "--model", self.model, "--data", self.test, "-o", self.folder / "c"]):
            done = run("consilium-client", *command, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("unet", done.stderr)


if __name__ == "__main__":
    unittest.main()
