"""Wrong input to the commands: one clear line on stderr, an exit code other than 0, nothing half-written."""

import json
import pathlib
import sqlite3
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import cohort, small_plan  # noqa: E402
from tests.testing.federation import Federation, run  # noqa: E402


class ErrorsTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="consilium-e2e-")
        self.folder = pathlib.Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def refused(self, wanted, program, *arguments):
        """Runs a command that must fail with one line that says `wanted`."""
        done = run(program, *arguments, check=False)
        self.assertGreater(done.returncode, 0, done.stdout)  # a signal would be negative
        errors = [line for line in done.stderr.splitlines() if line.startswith(program)]
        self.assertEqual(len(errors), 1, done.stderr)
        self.assertIn(wanted, errors[0])
        self.assertNotIn("terminate called", done.stderr)
        return done

    def train(self, wanted, plan, data):
        out = self.folder / "out.safetensors"
        self.refused(wanted, "consilium-client", "train", "--plan", plan, "--data", data, "-o", out)
        self.assertFalse(out.exists())

    def test_unreadable_images(self):
        data = cohort(self.folder, 0, 20)
        for image in sorted((data / "images").iterdir())[:10]:
            image.write_bytes(b"not an image")
        self.train("images cannot be read", small_plan(self.folder / "p.yaml"), data)

    def test_one_unreadable_image_among_many_is_named_and_left_out(self):
        data = cohort(self.folder, 0, 40)
        bad = sorted((data / "images").iterdir())[0]
        bad.write_bytes(b"not an image")
        done = run("consilium-client", "predict", "--format", "csv", "--model", self.model(),
                   data / "images", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(bad.name, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 1 + 39)

    def model(self):
        path = self.folder / "model.safetensors"
        run("consilium-client", "model", "init", "--plan", small_plan(self.folder / "p.yaml"), "-o",
            path)
        return path

    def test_empty_class(self):
        (self.folder / "set/covid").mkdir(parents=True)
        (self.folder / "set/normal").mkdir()
        self.train("class 'covid' has no PNG, JPEG or DICOM image", small_plan(self.folder / "p.yaml"),
                   self.folder / "set")

    def test_csv_with_a_missing_column(self):
        (self.folder / "m.csv").write_text("path,diagnosis\na.png,covid\n")
        self.train("m.csv:1: no column 'label'", small_plan(self.folder / "p.yaml"),
                   self.folder / "m.csv")

    def test_unknown_plan_field(self):
        plan = self.folder / "p.yaml"
        plan.write_text("rounds: 2\nbatchsize: 3\n")
        self.train("p.yaml:2: unknown field 'batchsize'", plan, self.folder)

    def test_unknown_architecture(self):
        plan = small_plan(self.folder / "p.yaml", model={"architecture": "alexnet"})
        self.train("'alexnet' is not one this client builds", plan, self.folder)

    def test_model_files_that_do_not_fit(self):
        model = self.model()
        damaged = self.folder / "damaged.safetensors"
        damaged.write_bytes(model.read_bytes()[:-4])
        self.refused("bytes of data", "consilium-client", "predict", "--model", damaged, "x.png")
        self.refused("cannot read", "consilium-client", "predict",
                     "--model", self.folder / "absent", "x.png")
        plan = small_plan(self.folder / "other.yaml",
                          model={"architecture": "simple_cnn", "input_size": 64})
        out = self.folder / "out.safetensors"
        self.refused("the plan wants", "consilium-client", "train", "--plan", plan, "--init", model,
                     "--data", cohort(self.folder, 0, 12), "-o", out)
        self.assertFalse(out.exists())

    def test_commands_without_a_home(self):
        self.refused("holds no identity", "consilium-client", "start", "--dir", self.folder)
        self.refused("holds no federation", "consilium-server", "serve", "--dir", self.folder)

    def test_joining_with_a_wrong_hash_or_token(self):
        with Federation(self.folder / "f") as federation:
            words = federation.invite("north")  # join ADDRESS --token T --ca-sha256 H
            home = self.folder / "north"
            wrong = words[:-1] + ["0" * 64]
            self.refused("does not have the CA of this invitation", "consilium-client", *wrong,
                         "--dir", home)
            self.assertFalse(home.exists())
            stranger = [w if w != words[words.index("--token") + 1] else "f" * 48 for w in words]
            self.refused("token is not known", "consilium-client", *stranger, "--dir", home)
            self.assertFalse(home.exists())
            run("consilium-client", *words, "--dir", home)
            self.refused("used already", "consilium-client", *words, "--dir", self.folder / "again")
            self.assertFalse((self.folder / "again").exists())
            self.refused("holds an identity already", "consilium-client", *words, "--dir", home)

            late = federation.invite("south")
            with sqlite3.connect(federation.server_dir / "consilium.db") as database:
                database.execute("UPDATE tokens SET expires = 1 WHERE member = 'south'")
            self.refused("has expired", "consilium-client", *late, "--dir", self.folder / "south")
            self.assertFalse((self.folder / "south").exists())
            run("consilium-client", "pull", "--dir", home, check=False)  # it has called
            self.refused("has joined", "consilium-ctl", "--dir", federation.server_dir / "admin",
                         "invite", "north")

    def test_pulling_what_is_not_there_or_not_wanted(self):
        with Federation(self.folder / "f") as federation:
            federation.join("north", cohort(self.folder, 0, 12))
            home = federation.home("north")
            self.refused("no run has completed yet", "consilium-client", "pull", "--dir", home)
            # A run that starts from a model of an architecture that no client knows.
            model = self.model()
            strange = self.folder / "strange.safetensors"
            strange.write_bytes(model.read_bytes().replace(b'"simple_cnn"', b'"simple_cnm"'))
            plan = small_plan(self.folder / "strange.yaml",
                              model={"architecture": "simple_cnm", "input_size": 32})
            strange_run = federation.submit(plan, "--init", strange)
            self.refused("'simple_cnm' is not one this client builds", "consilium-client", "pull",
                         "--dir", home, "--run", strange_run)
            good_run = federation.submit(self.folder / "p.yaml", "--init", model)
            self.refused("no run has completed yet", "consilium-client", "pull", "--dir", home)
            self.refused("the model is simple_cnn, not vgg16", "consilium-client", "pull", "--dir",
                         home, "--run", good_run, "--architecture", "vgg16")
            self.assertFalse((home / "models/pulled.safetensors").exists())
            self.refused("no model of round 7", "consilium-client", "pull", "--dir", home, "--run",
                         good_run, "--round", "7")
            run("consilium-client", "pull", "--dir", home, "--run", good_run)
            self.assertEqual(sorted(p.suffix for p in (home / "models").iterdir()),
                             [".manifest", ".safetensors"])
            self.refused("quorum", "consilium-ctl", "--dir", federation.server_dir / "admin", "run",
                         "submit", small_plan(self.folder / "q.yaml", quorum={"count": 5}))
            self.refused("no run 'nope'", "consilium-ctl", "--dir", federation.server_dir / "admin",
                         "run", "show", "nope")

    def test_a_revoked_hospital_ends_with_the_reason(self):
        with Federation(self.folder / "f") as federation:
            federation.join("north", self.folder)
            federation.ctl("revoke", "north")
            self.refused("hospital 'north' was revoked", "consilium-client", "start", "--dir",
                         federation.home("north"))

    def test_unsound_data_are_found(self):
        data = cohort(self.folder, 0, 12)
        good = json.loads(run("consilium-client", "data", "check", "--json", "--data", data).stdout)
        self.assertTrue(good["sound"])
        sorted((data / "images").iterdir())[0].write_bytes(b"junk")
        self.refused("not sound: 1 unreadable", "consilium-client", "data", "check", "--data", data)


if __name__ == "__main__":
    unittest.main(verbosity=2)
