"""What a hospital types without a federation, and what the programs are made of."""

import csv
import io
import json
import pathlib
import subprocess
import tempfile
import unittest

from support import cohort, small_plan
from tests.testing.federation import BIN, run


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls._temporary.name)
        cls.data = cohort(cls.folder, 0, 40)
        cls.plan = small_plan(cls.folder / "plan.yaml")
        cls.model = cls.folder / "trained.safetensors"
        cls.trained = run("consilium-client", "train", "--plan", cls.plan, "--data", cls.data, "-o",
                          cls.model, "--json", cls.folder / "rounds.json", "--threads", 1)

    @classmethod
    def tearDownClass(cls):
        cls._temporary.cleanup()

    def test_train_shows_and_writes_every_round(self):
        self.assertEqual(len([line for line in self.trained.stdout.splitlines()
                              if line.startswith("round")]), 3)  # before training, and after each
        rounds = json.loads((self.folder / "rounds.json").read_text())["rounds"]
        self.assertEqual([r["round"] for r in rounds], [0, 1, 2])
        self.assertGreater(rounds[1]["images"], 0)
        self.assertGreater(rounds[1]["validation"]["examples"], 0)

    def test_train_looks_for_its_folders_before_it_trains(self):
        failed = run("consilium-client", "train", "--plan", self.plan, "--data", self.data, "-o",
                     self.folder / "m", "--json", self.folder / "absent/r.json", check=False)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("no folder", failed.stderr)
        self.assertEqual(failed.stdout, "")

    def test_evaluate_scores_the_split_that_is_named(self):
        score = json.loads(run("consilium-client", "evaluate", "--model", self.model, "--data",
                               self.data, "--split", "all", "--json").stdout)
        self.assertEqual(score["examples"], 40)
        text = run("consilium-client", "evaluate", "--model", self.model, "--data", self.data).stdout
        self.assertIn("balanced accuracy", text)

    def test_model_info_says_what_the_file_is(self):
        info = json.loads(run("consilium-client", "model", "info", self.model, "--json").stdout)
        self.assertEqual(info["metadata"]["architecture"], "simple_cnn")
        self.assertEqual(info["metadata"]["round"], "2")
        self.assertIn("simple_cnn", run("consilium-client", "model", "info", self.model).stdout)

    def test_data_show_draws_a_contact_sheet(self):
        sheet = self.folder / "sheet.png"
        out = run("consilium-client", "data", "show", "--data", self.data, "-o", sheet).stdout
        self.assertIn("covid", out)
        self.assertTrue(sheet.read_bytes().startswith(b"\x89PNG"))

    def test_data_partition_cuts_one_set_into_sites(self):
        run("consilium-client", "data", "partition", "--data", self.data, "-o", self.folder / "sites",
            "--sites", 2, "--by", "quantity", "--alpha", 2)
        rows = []
        for site in ("site-1", "site-2"):
            with open(self.folder / f"sites/{site}.csv", newline="") as file:
                rows += list(csv.DictReader(file))
        self.assertEqual(len({row["path"] for row in rows}), 40)
        self.assertTrue(all(pathlib.Path(row["path"]).is_file() for row in rows))
        score = run("consilium-client", "evaluate", "--model", self.model, "--data",
                    self.folder / "sites/site-1.csv", "--split", "all", "--json").stdout
        self.assertGreater(json.loads(score)["examples"], 0)
        failed = run("consilium-client", "data", "partition", "--data", self.data, "-o",
                     self.folder / "more", "--sites", 1000, check=False)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("would have no image", failed.stderr)

    def test_predict_writes_names_of_any_kind(self):
        image = next((self.data / "images").rglob("*.png"), None) or next(self.data.rglob("*.png"))
        odd = self.folder / "odd"
        odd.mkdir()
        (odd / "a,b.png").write_bytes(image.read_bytes())
        with open(bytes(odd) + b"/M\xfcller.png", "wb") as copy:
            copy.write(image.read_bytes())
        command = [str(BIN / "consilium-client"), "predict", "--model", str(self.model), str(odd)]
        text = subprocess.run([*command, "--format", "csv"], capture_output=True, check=True).stdout
        rows = list(csv.DictReader(io.StringIO(text.decode("latin-1"))))
        self.assertEqual(len(rows), 2)
        for row in rows:
            total = sum(float(value) for key, value in row.items() if key.startswith("p_"))
            self.assertAlmostEqual(total, 1, places=4)
        self.assertTrue(any(row["path"].endswith("a,b.png") for row in rows))
        lines = subprocess.run([*command, "--json"], capture_output=True, check=True).stdout
        self.assertEqual(len([json.loads(line) for line in lines.splitlines()]), 2)

    def test_the_coordinator_links_no_tensor_or_picture_library(self):
        for program, may in (("consilium-server", False), ("consilium-ctl", False),
                             ("consilium-client", True)):
            needed = subprocess.run(["readelf", "-d", BIN / program], capture_output=True, text=True,
                                    check=True).stdout
            for library in ("libtorch", "libopencv"):
                self.assertEqual(library in needed, may, (program, library))


if __name__ == "__main__":
    unittest.main()
