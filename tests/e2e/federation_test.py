"""A coordinator and three hospitals as separate processes over mutual TLS, from images to a prediction."""

import json
import pathlib
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import cohort, small_plan  # noqa: E402
from tests.testing.tcp_proxy import TcpProxy  # noqa: E402
from tests.testing.federation import Federation, run, wait_until  # noqa: E402
from tests.testing.model_reader import read_model  # noqa: E402

SITES = ("north", "south", "west")


class FederationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="consilium-e2e-")
        cls.data_folder = pathlib.Path(cls.temporary.name)
        cls.data = {site: cohort(cls.data_folder, i) for i, site in enumerate(SITES)}

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def join_all(self, federation, **site_data):
        for site in SITES:
            federation.join(site, self.data[site], **site_data)

    def test_trains_pulls_and_predicts(self):
        with Federation() as federation:
            self.join_all(federation)
            for site in SITES:
                federation.start(site)
            shown = federation.wait(federation.submit(small_plan(federation.folder / "p.yaml", 3)))
            self.assertEqual(shown["status"], "COMPLETED", shown["reason"])
            self.assertEqual([model["round"] for model in shown["models"]], [0, 1, 2, 3])
            self.assertEqual([e["round"] for e in shown["evaluations"]], [0, 1, 2, 3])
            for evaluation in shown["evaluations"]:
                self.assertEqual(set(evaluation["sites"]), set(SITES))
                self.assertEqual(sum(s["examples"] for s in evaluation["sites"].values()),
                                 evaluation["pooled"]["examples"])
            page = federation.folder / "run.html"
            federation.ctl("run", "report", shown["run"], "-o", page)
            for text in ("Research use only", "The model of round 3, all sites", *SITES):
                self.assertIn(text, page.read_text())
            # Every hospital gets the same bytes, and they open in Python.
            pulled = []
            for site in SITES:
                run("consilium-client", "pull", "--dir", federation.home(site))
                pulled.append((federation.home(site) / "models/pulled.safetensors").read_bytes())
            self.assertEqual(len(set(pulled)), 1)
            tensors, metadata = read_model(federation.home("north") / "models/pulled.safetensors")
            self.assertEqual(metadata["run"], shown["run"])
            self.assertEqual(metadata["training_sites"], "3")
            self.assertEqual(metadata["parent"], shown["models"][2]["digest"])
            self.assertEqual(tensors["features.0.weight"].shape, (32, 1, 3, 3))
            # A prediction an image, each a distribution.
            done = run("consilium-client", "predict", "--json", "--dir", federation.home("north"),
                       self.data["north"] / "images")
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual(len(lines), 40)
            for line in lines:
                self.assertAlmostEqual(sum(line["probabilities"].values()), 1, places=4)
                self.assertEqual(line["prediction"],
                                 max(line["probabilities"], key=line["probabilities"].get))

    def test_same_seed_same_model_and_a_given_initial_model_is_used(self):
        with Federation() as federation:
            self.join_all(federation)
            for site in SITES:
                federation.start(site)
            plan = small_plan(federation.folder / "p.yaml", 1)
            digests = []
            for _ in range(2):
                shown = federation.wait(federation.submit(plan))
                path = federation.folder / f"{shown['run']}.safetensors"
                federation.ctl("model", "pull", shown["run"], "-o", path)
                digests.append({name: t.tobytes() for name, t in read_model(path)[0].items()})
            self.assertEqual(digests[0], digests[1])
            again = federation.ctl("run", "submit", plan, "--init", path).stdout.strip()
            shown = federation.wait(again)
            self.assertEqual(shown["status"], "COMPLETED")
            self.assertNotIn("initialise", [task["kind"] for task in shown["tasks"]])

    def test_killed_hospital_misses_its_round_and_comes_back(self):
        with Federation() as federation:
            self.join_all(federation)
            for site in SITES:
                federation.start(site)
            # Long enough to be killed in the middle of training.
            plan = small_plan(federation.folder / "p.yaml", 2, quorum={"count": 2},
                              round_deadline_seconds=12,
                              training={"local_steps": 60, "batch_size": 8, "learning_rate": 0.01})
            run_id = federation.submit(plan)
            wait_until(lambda: any(t["kind"] == "train" for t in federation.show(run_id)["tasks"]))
            federation.stop("west", signal.SIGKILL)

            def first_round_closed():
                return federation.show(run_id)["round"] >= 2
            wait_until(first_round_closed, 60, "the close of round 1")
            federation.start("west")  # no further word: it finds its way back
            shown = federation.wait(run_id)
            self.assertEqual(shown["status"], "DEGRADED")
            self.assertEqual(shown["reason"], "west missed round 1")
            outcome = {(t["round"], t["site"]): t for t in shown["tasks"] if t["kind"] == "train"}
            self.assertEqual(outcome[1, "west"]["status"], "missed")
            self.assertIn("deadline", outcome[1, "west"]["reason"])
            self.assertEqual(outcome[1, "north"]["status"], "done")
            self.assertEqual(outcome[2, "west"]["status"], "done")

    def test_run_below_its_quorum_pauses_says_why_and_can_be_resumed(self):
        with Federation() as federation:
            self.join_all(federation)
            federation.start("north")
            run_id = federation.submit(small_plan(federation.folder / "p.yaml", 1,
                                                  round_deadline_seconds=6, round_attempts=2))
            done = federation.ctl("run", "watch", run_id, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("1 of 3 sites delivered an update, the quorum is 3", done.stderr)
            self.assertEqual(federation.show(run_id)["status"], "PAUSED")
            for site in ("south", "west"):
                federation.start(site)
            federation.ctl("run", "resume", run_id)
            shown = federation.wait(run_id)
            self.assertEqual(shown["status"], "COMPLETED", shown["reason"])
            # North delivered once and was not asked again.
            trained = [t for t in shown["tasks"] if t["site"] == "north" and t["kind"] == "train"]
            self.assertEqual([t["status"] for t in trained][-1:], ["done"])
            self.assertEqual(sum(t["status"] == "done" for t in trained), 1)

    def test_refused_architecture_is_reported_as_refused(self):
        with Federation() as federation:
            federation.join("north", self.data["north"])
            settings = json.loads((federation.home("north") / "site.yaml").read_text())
            settings["architectures"] = ["resnet18"]
            (federation.home("north") / "site.yaml").write_text(json.dumps(settings))
            federation.start("north")
            shown = federation.wait(federation.submit(small_plan(federation.folder / "p.yaml", 1)))
            self.assertEqual(shown["status"], "FAILED")
            self.assertEqual(shown["tasks"][0]["status"], "refused")
            self.assertIn("simple_cnn", shown["tasks"][0]["reason"])

    def test_what_leaves_a_hospital_is_its_update_and_little_else(self):
        with Federation() as federation, TcpProxy(federation.port) as proxy:
            self.join_all(federation)
            home = federation.home("north")
            (home / "federation.yaml").write_text(
                f"federation: test\nendpoint: 127.0.0.1:{proxy.port}\n")
            for site in SITES:
                federation.start(site)
            plan = small_plan(federation.folder / "p.yaml", 3)
            # Not made by the hospital under watch, so that it sends updates alone.
            initial = federation.folder / "initial.safetensors"
            run("consilium-client", "model", "init", "--plan", plan, "-o", initial)
            run_id = federation.ctl("run", "submit", plan, "--init", initial).stdout.strip()
            shown = federation.wait(run_id)
            self.assertEqual(shown["status"], "COMPLETED")
            updates = [line.split("sent ")[1].split()[0] for line in
                       federation.log("north").splitlines() if ": sent " in line]
            volume = sum(map(int, updates))
            self.assertEqual(len(updates), 3)
            # TLS, HTTP/2, polls, counts and metrics come on top.
            self.assertGreaterEqual(proxy.sent, volume)
            surplus = proxy.sent - volume
            images = [f.stat().st_size for f in (self.data["north"] / "images").iterdir()]
            print(f"{volume} bytes of updates, {surplus} beside them; images of {min(images)} to "
                  f"{max(images)} bytes")
            self.assertLess(surplus, volume * 0.01)
            self.assertLess(surplus, min(images))

    def test_reasons_that_reach_the_coordinator_name_no_file(self):
        broken = self.data_folder / "broken"
        broken.mkdir()
        (broken / "manifest.csv").write_text(
            "path,label\nMUELLER_HANS_1950.png,covid\nOTHER.png,normal\n")
        with Federation() as federation:
            federation.join("north", broken)
            federation.start("north")
            shown = federation.wait(federation.submit(small_plan(federation.folder / "p.yaml", 1)))
            self.assertEqual(shown["status"], "PAUSED")
            self.assertNotIn("MUELLER", json.dumps(shown) + federation.log("coordinator"))
            self.assertIn("loading the images failed", shown["reason"])
            self.assertIn("MUELLER_HANS_1950.png", federation.log("north"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
