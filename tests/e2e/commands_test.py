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

    def test_evaluate_writes_a_page_and_plots(self):
        with open(self.data / "manifest.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        table = self.folder / "views.csv"
        with open(table, "w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0], "view", "age"])
            writer.writeheader()
            for i, row in enumerate(rows):
                writer.writerow({**row, "path": self.data / row["path"], "view": "PA" if i % 4 else "AP",
                                 "age": 30 + i})
        score = json.loads(run("consilium-client", "evaluate", "--model", self.model, "--data", table,
                               "--split", "all", "--json", "--html", self.folder / "page.html", "--plots",
                               self.folder / "plots").stdout)
        low, high = score["by_patient"]["accuracy_ci95"]
        self.assertLessEqual(low, score["accuracy"])
        self.assertGreaterEqual(high, score["accuracy"])
        self.assertEqual([one["by"] for one in score["breakdowns"]], ["view", "age"])
        self.assertEqual(sum(group["images"] or 0 for group in score["breakdowns"][0]["groups"].values()), 40)
        self.assertGreater(score["temperature"]["value"], 0)
        page = (self.folder / "page.html").read_text()
        self.assertIn("Research use only", page)
        self.assertIn("By view", page)
        self.assertNotIn(str(rows[0]["path"]), page)  # no image is named
        for name in ("roc", "precision-recall", "reliability"):
            self.assertIn("</svg>", (self.folder / "plots" / f"{name}.svg").read_text())

    def test_train_keeps_the_best_model_and_knows_its_figures(self):
        out = self.folder / "best.safetensors"
        failed = run("consilium-client", "train", "--plan", self.plan, "--data", self.data, "-o", out,
                     "--best", "auc", check=False)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("balanced_accuracy", failed.stderr)
        self.assertFalse(out.exists())
        run("consilium-client", "train", "--plan", self.plan, "--data", self.data, "-o", out, "--best", "loss",
            "--patience", 1, "--json", self.folder / "best.json")
        rounds = json.loads((self.folder / "best.json").read_text())["rounds"]
        losses = [one["validation"]["loss"] for one in rounds]
        info = json.loads(run("consilium-client", "model", "info", out, "--json").stdout)
        self.assertEqual(int(info["metadata"]["round"]), losses.index(min(losses)))

    def test_compare_puts_models_side_by_side(self):
        other = self.folder / "untrained.safetensors"
        run("consilium-client", "model", "init", "--plan", self.plan, "-o", other)
        shown = json.loads(run("consilium-client", "compare", self.model, other, "--data", self.data,
                               "--split", "all", "--json").stdout)["models"]
        self.assertEqual(len(shown), 2)
        for one in shown:
            self.assertEqual(one["report"]["examples"], 40)
            self.assertGreater(one["flops"], 1e6)
            self.assertGreater(one["latency_seconds"], 0)
            self.assertGreater(one["train_images_per_second"], 0)
            self.assertEqual(one["bytes"], pathlib.Path(one["file"]).stat().st_size)
        self.assertNotEqual(shown[0]["report"]["loss"], shown[1]["report"]["loss"])
        text = run("consilium-client", "compare", self.model, other, "--data", self.data).stdout
        self.assertIn("untrained.safetensors", text)

    def test_data_import_writes_a_public_set_s_manifest(self):
        images = sorted(self.data.rglob("*.png"))
        home = self.folder / "radiography"
        for i, name in enumerate(("COVID", "Normal", "Viral Pneumonia")):
            (home / name / "images").mkdir(parents=True)
            for image in images[5 * i:5 * i + 5]:
                (home / name / "images" / image.name).write_bytes(image.read_bytes())
        table = self.folder / "radiography.csv"
        out = run("consilium-client", "data", "import", "radiography", home, "-o", table).stdout
        self.assertIn("covid", out)
        self.assertEqual((self.folder / "radiography.csv.key").stat().st_mode & 0o777, 0o600)
        score = json.loads(run("consilium-client", "evaluate", "--model", self.model, "--data", table,
                               "--split", "all", "--json").stdout)
        self.assertEqual(score["examples"], 15)

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
