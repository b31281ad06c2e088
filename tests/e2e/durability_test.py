"""Processes that die at any instant, and runs that end as if they had not."""

import pathlib
import random
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import cohort  # noqa: E402
from tests.testing import crash  # noqa: E402
from tests.testing.federation import run, wait_until  # noqa: E402


class DurabilityTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="consilium-e2e-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.cohorts = {site: cohort(cls.folder, i, 20) for i, site in enumerate(("north", "south"))}
        cls.prepared = cls.prepare("prepared", rounds=3,
                                   training={"batch_size": 8, "learning_rate": 0.02},
                                   # So that moments are written and carried on, too.
                                   strategy={"name": "fedadam", "server_learning_rate": 0.01})
        cls.wanted, cls.operations, cls.hospital_operations = crash.undisturbed(
            cls.prepared, cls.folder / "undisturbed")

    @classmethod
    def prepare(cls, name, **plan):
        return crash.Prepared(cls.folder / name, cls.cohorts, **{
            "name": "durability", "quorum": {"fraction": 1.0}, "round_deadline_seconds": 86400,
            "model": {"architecture": "simple_cnn", "input_size": 32}, **plan})

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def test_coordinator_that_dies_at_durable_writes_gives_the_same_models(self):
        # Over the start and more than a round: both ends of every kind of operation are met.
        kills = [(6 + (i * 23) % 97, crash.WAYS[i % 4]) for i in range(20)]
        models, hits = crash.with_coordinator_kills(self.prepared, self.folder / "trial", kills)
        print(f"coordinator: {self.operations} durable operations in an undisturbed run, {hits} kills")
        self.assertEqual(models, self.wanted)
        self.assertGreater(hits, 8)

    def test_power_cuts_of_a_coordinator_with_encoded_models_give_the_same_models(self):
        prepared = self.prepare("encoded", rounds=3, training={"batch_size": 8, "learning_rate": 0.02},
                                encoding={"update": "int8", "model": "int8"})
        wanted, *_ = crash.undisturbed(prepared, self.folder / "undisturbed-encoded")
        models, lost = crash.with_power_cuts(prepared, self.folder / "trial",
                                             [30 + (i * 23) % 101 for i in range(12)])
        print(f"{lost} updates were lost and asked for again")
        self.assertEqual(models, wanted)
        self.assertGreater(lost, 0)

    def test_hospital_that_dies_at_durable_writes_gives_the_same_models(self):
        kills = [(1 + i, crash.WAYS[i % 4]) for i in range(8)]
        models, hits = crash.with_hospital_kills(self.prepared, self.folder / "trial", kills)
        print(f"hospital: {self.hospital_operations} durable operations in an undisturbed run, "
              f"{hits} kills")
        self.assertEqual(models, self.wanted)
        self.assertGreater(hits, 4)

    def test_processes_that_die_at_random_times_give_the_same_models(self):
        dice = random.Random(2)
        for name in ("coordinator", "north"):
            models, hits = crash.with_random_kills(self.prepared, self.folder / "trial", name, 4, dice)
            print(f"{name}: {hits} kills at random times")
            self.assertEqual(models, self.wanted)
            self.assertGreater(hits, 0)

    def fill(self, what):
        self.assertEqual(self.wanted, crash.with_full_disk(
            self.prepared, self.folder / "trial", *crash.full_disks(self.prepared)[what]))

    def test_full_disk_for_uploads_holds_the_run_up_and_harms_nothing(self):
        self.fill("uploads")

    def test_full_disk_for_averaging_holds_the_run_up_and_harms_nothing(self):
        self.fill("averaging")

    def test_full_disk_at_a_hospital_costs_its_checkpoints_alone(self):
        self.fill("checkpoints")

    def test_damage_is_named_with_what_can_be_done(self):
        with crash.Trial(self.folder / "trial", self.prepared) as trial:
            trial.start_all()
            last = crash.finish(trial)[-1][1]
            trial.stop("coordinator")
            run("consilium-server", "check", "--dir", trial.server_dir)
            blob = trial.server_dir / "blobs" / last
            blob.write_bytes(blob.read_bytes()[:-1] + b"x")
            checked = run("consilium-server", "check", "--dir", trial.server_dir, check=False)
            self.assertEqual(checked.returncode, 1)
            self.assertIn(last, checked.stdout)
            self.assertIn("the model of round 3", checked.stdout)
            blob.unlink()
            checked = run("consilium-server", "check", "--dir", trial.server_dir, check=False)
            self.assertIn(last, checked.stdout)
            database = trial.server_dir / "consilium.db"
            database.write_bytes(database.read_bytes()[:4096] + b"junk" * 5000)
            for command in ("check", "serve"):
                failed = run("consilium-server", command, "--dir", trial.server_dir, check=False)
                self.assertEqual(failed.returncode, 1)
                self.assertIn("database", failed.stdout + failed.stderr)

    def test_hospital_killed_in_training_goes_on_from_its_checkpoint(self):
        prepared = self.prepare("long", rounds=1, training={
            "local_steps": 250, "batch_size": 8, "learning_rate": 0.01,
            "augmentation": {"rotation_degrees": 7, "shift": 0.05}}, model={
                "architecture": "simple_cnn", "input_size": 64, "dropout": 0.3})
        for site in prepared.sites:
            settings = prepared.home(site) / "site.yaml"
            settings.write_text(settings.read_text().replace("{", '{"checkpoint_seconds": 1, ', 1))
        wanted, *_ = crash.undisturbed(prepared, self.folder / "undisturbed-long")
        dice = random.Random(5)
        with crash.Trial(self.folder / "trial", prepared) as trial:
            trial.serve()
            trial.start("south")
            kills = 0
            checkpoint = trial.home("north") / "work/checkpoint"

            def written():
                return checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            for _ in range(4):
                before = written()
                trial.start("north")
                wait_until(lambda: written() != before or crash.ended(trial), 60, "a checkpoint")
                time.sleep(dice.uniform(0, 0.5))
                if crash.ended(trial) or (trial.home("north") / "work/finished").exists():
                    break
                trial.stop("north", signal.SIGKILL)
                kills += 1
            if "north" not in trial.processes:
                trial.start("north")
            self.assertEqual(crash.finish(trial), wanted)
            log = trial.log("north")
        self.assertIn("going on after step", log)
        self.assertGreater(kills, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
