"""Plans that need more of both sides than an average: through real processes, the model is that of a
federation in one process, bit for bit."""

import json
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import CohortTest, small_plan  # noqa: E402
from tests.testing.federation import BIN, Federation, run  # noqa: E402
from tests.testing.model_reader import read_model  # noqa: E402

SIMULATOR = BIN.parent / "bench/simulated_federation"
SITES = ("north", "south")


class StrategiesTest(CohortTest):
    def run_plan(self, federation, plan):
        """The run as it is shown, and the model's values as the two ways made them."""
        initial = plan.with_suffix(".initial.safetensors")
        run("consilium-client", "model", "init", "--plan", plan, "-o", initial)
        shown = federation.wait(federation.submit(plan, "--init", initial))
        self.assertEqual(shown["status"], "COMPLETED", shown["reason"])
        real = plan.with_suffix(".real.safetensors")
        federation.ctl("model", "pull", shown["run"], "-o", real)
        simulated = plan.with_suffix(".simulated.safetensors")
        sites = [f"--site={site}={self.cohorts[i]}" for i, site in enumerate(SITES)]
        subprocess.run([SIMULATOR, "--plan", plan, *sites, "--threads", "1", "--json",
                        federation.folder / "simulated.json", "--model", simulated],
                       check=True, capture_output=True)
        return shown, read_model(real)[0], read_model(simulated)[0], read_model(initial)[0]

    def assert_same(self, real, simulated):
        self.assertEqual(real.keys(), simulated.keys())
        for name, values in real.items():
            self.assertEqual(values.tobytes(), simulated[name].tobytes(), name)

    def test_real_federation_is_the_simulated_one(self):
        with Federation() as federation:
            for i, site in enumerate(SITES):
                federation.join(site, self.cohorts[i], threads=1)
                federation.start(site)

            with self.subTest("control variates go both ways"):
                training = {"batch_size": 8, "learning_rate": 0.02, "schedule": "cosine"}
                plan = small_plan(federation.folder / "scaffold.yaml", rounds=3, seed=5,
                                  training=training, strategy={"name": "scaffold"})
                shown, real, simulated, _ = self.run_plan(federation, plan)
                self.assert_same(real, simulated)
                for site in SITES:
                    kept = sorted((federation.home(site) / "control").iterdir())
                    self.assertEqual(len(kept), 2)  # after each of the last two rounds

            with self.subTest("the median"):
                plan = small_plan(federation.folder / "median.yaml", rounds=2, seed=4,
                                  training={"batch_size": 8, "learning_rate": 0.02}, strategy={"name": "median"})
                shown, real, simulated, _ = self.run_plan(federation, plan)
                self.assert_same(real, simulated)

            for encoding, least, most in (({"update": "bfloat16"}, 0.2, 0.51), ({"update": "int8"}, 0.1, 0.27),
                                          ({"update": "top_k", "top_k": 0.01}, 0.001, 0.05)):
                with self.subTest(encoding["update"]):
                    plan = small_plan(federation.folder / f"{encoding['update']}.yaml", rounds=3, seed=7,
                                      training={"batch_size": 8, "learning_rate": 0.02}, encoding=encoding)
                    shown, real, simulated, _ = self.run_plan(federation, plan)
                    self.assert_same(real, simulated)
                    whole = shown["models"][0]["bytes"]
                    for task in shown["tasks"]:
                        if task["kind"] == "train":
                            self.assertTrue(least < task["update_bytes"] / whole < most, task["update_bytes"] / whole)

            with self.subTest("a model travels as what it changes of the one before"):
                plan = small_plan(federation.folder / "both-ways.yaml", rounds=3, seed=7,
                                  training={"batch_size": 8, "learning_rate": 0.02},
                                  encoding={"update": "int8", "model": "int8"})
                shown, real, simulated, _ = self.run_plan(federation, plan)
                self.assert_same(real, simulated)
                whole = shown["models"][0]["bytes"]
                for site in SITES:
                    changes = re.findall(rf"{shown['run']}\S*: the global model came as a change of (\d+) bytes",
                                         federation.log(site))
                    self.assertEqual(len(changes), 3)  # rounds 2 and 3, and the model that is scored at the end
                    for size in changes:
                        self.assertLess(int(size) / whole, 0.3)

            with self.subTest("a model that is harmed meanwhile is fetched as a whole"):
                plan = small_plan(federation.folder / "harmed.yaml", rounds=2, seed=7,
                                  training={"batch_size": 8, "learning_rate": 0.02}, encoding={"model": "bfloat16"})
                run_id = federation.submit(plan)
                federation.ctl("run", "pause", run_id)
                self.assertEqual(federation.wait(run_id)["status"], "PAUSED")
                kept, = federation.home("north").rglob("*.model")
                harmed = bytearray(kept.read_bytes())
                harmed[-3] ^= 1
                kept.write_bytes(harmed)
                federation.ctl("run", "resume", run_id)
                shown = federation.wait(run_id)
                self.assertEqual(shown["status"], "COMPLETED", shown["reason"])
                self.assertRegex(federation.log("north"), rf"{run_id}\S*: fetched as a whole")
                self.assertNotRegex(federation.log("south"), rf"{run_id}\S*: fetched as a whole")

            with self.subTest("frozen tensors stay, and are not sent"):
                training = {
                    "batch_size": 8, "learning_rate": 0.02, "micro_batch_size": 4, "ema_decay": 0.5,
                    "class_weights": "effective", "class_counts": "federated",
                    "stages": [{"tensors": ["conv1", "bn1", "layer1", "layer2"], "rate": 0.1, "frozen": 0.5},
                               {"tensors": ["layer3"], "frozen": 1}]}
                plan = small_plan(federation.folder / "stages.yaml", seed=6, training=training,
                                  model={"architecture": "resnet18", "input_size": 32})
                shown, real, simulated, initial = self.run_plan(federation, plan)
                self.assert_same(real, simulated)
                sent = {task["round"]: task["update_bytes"] for task in shown["tasks"]
                        if task["kind"] == "train"}
                whole = shown["models"][0]["bytes"]

                def size_of(*stages):
                    return sum(values.nbytes for name, values in initial.items()
                               if name.startswith(stages))
                self.assertAlmostEqual(whole - sent[1], size_of("conv1", "bn1", "layer1", "layer2", "layer3"),
                                       delta=20_000)  # beside their names
                self.assertAlmostEqual(whole - sent[2], size_of("layer3"), delta=20_000)
                for name, values in real.items():
                    same = values.tobytes() == initial[name].tobytes()
                    self.assertEqual(same, name.startswith("layer3"), name)

    def test_hospital_trains_on_replicas(self):
        with Federation() as federation:
            federation.join("north", self.cohorts[0], threads=2)
            path = federation.home("north") / "site.yaml"
            path.write_text(json.dumps({**json.loads(path.read_text()), "replicas": 2}))
            federation.start("north")
            plan = small_plan(federation.folder / "replicas.yaml", rounds=2, training={"batch_size": 8})
            shown = federation.wait(federation.submit(plan))
            self.assertEqual(shown["status"], "COMPLETED", shown["reason"])
            self.assertIn("shared out among 2 replicas", federation.log("north"))

    def test_stage_that_the_network_lacks_is_an_error(self):
        plan = small_plan(self.folder / "wrong.yaml",
                          training={"batch_size": 8, "stages": [{"tensors": ["layer9"], "frozen": 1}]})
        done = run("consilium-client", "train", "--plan", plan, "--data", self.cohorts[0], "-o",
                   self.folder / "model.safetensors", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no tensor called 'layer9'", done.stderr)


if __name__ == "__main__":
    unittest.main()
