"""Models that are signed, released and taken back; what a hospital agrees to; trails that agree."""

import hashlib
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import CohortTest, cohort, small_plan  # noqa: E402
from tests.testing.federation import Federation, run, wait_until  # noqa: E402

SITES = ("north", "south", "west")


def entries(path, event):
    """The entries of that kind in an audit trail."""
    lines = (json.loads(line) for line in path.read_text().splitlines())
    return [entry for entry in lines if entry["event"] == event]


class ModelsTest(CohortTest):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.__exit__)
        self.federation.__enter__()

    def start(self, *sites, cohorts=None, site_data=None, **policy):
        for i, site in enumerate(sites):
            self.federation.join(site, (cohorts or self.cohorts)[i], **(site_data or {}))
            self.configure(site, **policy)
            self.federation.start(site)

    def configure(self, site, **policy):
        path = self.federation.home(site) / "site.yaml"
        path.write_text(json.dumps({**json.loads(path.read_text()), "policy": policy}))

    def train(self, rounds=1, **fields):
        plan = small_plan(self.federation.folder / "plan.yaml", rounds, **fields)
        return self.federation.wait(self.federation.submit(plan))

    def client(self, *arguments, site="north", **options):
        """A command of consilium-client in a hospital's folder."""
        return run("consilium-client", *arguments, "--dir", self.federation.home(site), **options)

    def verify(self, path, **options):
        return run("consilium-client", "model", "verify", path, "--json", "--ca",
                   self.federation.home("north") / "ca.crt", **options)

    def test_model_says_who_made_it_and_cannot_be_changed(self):
        # Enough validation images of each class for a site's score to be told.
        (self.folder / "large").mkdir()
        large = [cohort(self.folder / "large", site, 150) for site in range(3)]
        self.start(*SITES, cohorts=large, site_data={"validation_fraction": 0.5})
        shown = self.train(rounds=2, site_names="pseudonyms")
        self.assertEqual(shown["status"], "COMPLETED", shown["reason"])
        self.client("pull")
        self.federation.stop("coordinator")  # from here on without a network
        models = self.federation.home("north") / "models"
        model = models / "pulled.safetensors"
        said = json.loads(self.verify(model).stdout)
        self.assertEqual((said["federation"], said["run"], said["round"]),
                         ("test", shown["run"], 2))
        self.assertEqual(len(said["participants"]), 3)
        for participant in said["participants"]:
            self.assertRegex(participant["site"], "^site-[0-9a-f]{12}$")
        self.assertEqual(sum(p["train_examples"] for p in said["participants"]),
                         sum(t["train_examples"] for t in shown["tasks"]
                             if t["kind"] == "train" and t["round"] == 2))
        self.assertEqual(said["evaluated_sites"], 3)
        self.assertEqual({score["site"] for score in said["site_scores"]},
                         {participant["site"] for participant in said["participants"]})
        self.assertEqual(sum(score["examples"] for score in said["site_scores"]), said["evaluation"]["examples"])
        for score in said["site_scores"]:
            self.assertTrue(0 <= score["balanced_accuracy"] <= 1)
        images = self.cohorts[0] / "images"
        self.client("predict", images)

        # A byte of the model, of its manifest, of its signature: each is found.
        manifest = models / f"{said['digest']}.manifest"
        for path in (model, manifest):
            good = path.read_bytes()
            for at in range(0, len(good), max(1, len(good) // 8)):
                path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
                self.assertEqual(self.verify(model, check=False).returncode, 1, f"{path} {at}")
            self.assertEqual(self.client("predict", images, check=False).returncode, 1)
            path.write_bytes(good)
        manifest.unlink()
        done = self.client("predict", images, check=False)
        self.assertIn("there is no manifest of these bytes", done.stderr)

    def test_release_is_pulled_tested_taken_back_and_rolled_back(self):
        self.start(*SITES)
        run_id = self.train(rounds=2)["run"]
        ctl = self.federation.ctl
        self.assertEqual(self.client("pull", "--channel", "stable", check=False).returncode, 1)
        ctl("model", "release", f"{run_id}@1", "--channel", "stable")
        self.client("pull", "--channel", "stable")
        ctl("model", "release", f"{run_id}@2", "--channel", "stable")
        model = self.federation.home("north") / "models/pulled.safetensors"

        # Not good enough here: the one before stays in use.
        before = model.read_bytes()
        done = self.client("pull", "--channel", "stable", "--min-balanced-accuracy", "1.0",
                           check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not reach 100.0% here", done.stderr)
        self.assertEqual(model.read_bytes(), before)
        self.assertEqual(list(model.parent.glob("*.new")), [])
        said = self.client("pull", "--channel", "stable", "--min-balanced-accuracy", "0.01").stdout
        self.assertIn("balanced accuracy on", said)
        self.assertIn("round 2", said)
        self.assertIn("round 1", self.client("rollback").stdout)
        self.assertEqual(model.read_bytes(), before)

        ctl("model", "withdraw", f"{run_id}@2", "--channel", "stable")
        self.assertIn("round 1", self.client("pull", "--channel", "stable").stdout)
        listed = json.loads(ctl("--json", "model", "releases").stdout)
        self.assertEqual([(r["round"], r["withdrawn_by"]) for r in listed], [(1, ""), (2, "admin")])

    def test_plan_waits_for_a_person_and_what_leaves_is_shown(self):
        self.start("north", "south")
        self.federation.join("west", self.cohorts[2])
        self.configure("west", approve_plans=True)
        self.federation.start("west")
        federation = self.federation
        run_id = federation.submit(small_plan(federation.folder / "plan.yaml", 1))

        def waits():
            return [t for t in federation.show(run_id)["tasks"]
                    if t["site"] == "west" and t["stage"] == "awaiting approval"]
        wait_until(waits, what="west's question")
        plan, = json.loads(self.client("plans", "--json", site="west").stdout)
        self.assertEqual((plan["decision"], plan["plan"]["model"]["architecture"]),
                         ("pending", "simple_cnn"))
        done = self.client("approve", plan["hash"][:10], check=False, site="west")
        self.assertNotEqual(done.returncode, 0)  # nobody said who
        self.client("approve", plan["hash"][:10], "--by", "Dr. Grün", site="west")
        shown = federation.wait(run_id)
        self.assertEqual(shown["status"], "COMPLETED", shown["reason"])

        sent = json.loads(self.client("outbox", "--json", site="west").stdout)
        digests = {t["update_digest"] for t in shown["tasks"]
                   if t["site"] == "west" and t["update_digest"]}
        self.assertEqual({one["digest"] for one in sent}, digests)
        trained = next(one for one in sent if ".train" in one["task"])
        self.assertGreater(trained["norm"], 0)
        accepted, = [e for e in entries(federation.server_dir / "audit.jsonl", "update_accepted")
                     if e["site"] == "west"]
        self.assertAlmostEqual(accepted["norm"], trained["norm"], places=6)

        # Another plan is another question; no is an answer that the coordinator hears.
        run_id = federation.submit(small_plan(federation.folder / "plan.yaml", 1, seed=2,
                                              quorum={"count": 2}))
        wait_until(waits, what="west's second question")
        plan = json.loads(self.client("plans", "--json", site="west").stdout)[-1]
        self.client("reject", plan["hash"], "--by", "Dr. Grün", site="west")
        shown = federation.wait(run_id)
        self.assertEqual(shown["status"], "DEGRADED")
        refused = next(t for t in shown["tasks"] if t["site"] == "west" and t["kind"] == "train")
        self.assertEqual((refused["status"], refused["reason"]),
                         ("refused", "this hospital rejected the plan"))

    def test_policy_refuses_with_its_reason(self):
        for i, policy in enumerate(({"min_cohort": 9}, {"max_epochs": 1},
                                    {"required_privacy": ["pseudonyms"]})):
            self.federation.join(SITES[i], self.cohorts[i])
            self.configure(SITES[i], **policy)
            self.federation.start(SITES[i])
        self.federation.join("fourth", self.cohorts[0])
        self.federation.start("fourth")
        shown = self.train(rounds=2, quorum={"count": 1})
        self.assertEqual(shown["status"], "DEGRADED", shown["reason"])
        reasons = {t["site"]: t["reason"] for t in shown["tasks"] if t["status"] == "refused"}
        self.assertIn("site.yaml wants at least 9", reasons["north"])
        self.assertIn("trains for 2.0 epochs, site.yaml allows 1", reasons["south"])
        self.assertIn("lacks 'pseudonyms'", reasons["west"])

    def test_trails_agree_until_one_side_writes_its_own_anew(self):
        self.start(*SITES)
        run_id = self.train(rounds=2)["run"]
        federation = self.federation
        federation.ctl("audit", "verify")
        pulled = federation.folder / "coordinator-trail.jsonl"
        federation.ctl("audit", "pull", "-o", pulled)
        said = self.client("audit", "verify", "--coordinator", pulled).stdout
        self.assertRegex(said, "has all of the [3-9] heads")
        for site in SITES:
            federation.stop(site)
        federation.stop("coordinator")
        verify = ("audit", "verify", "--dir", federation.server_dir, "--site", "north", "--trail")
        north = federation.home("north")
        self.assertRegex(run("consilium-server", *verify, north / "audit.jsonl").stdout,
                         "has all of the [3-9] heads")
        self.assertTrue(any(e["run"] == run_id for e in entries(pulled, "model")))

        # The hospital drops what it has sent and makes its hashes right again.
        kept = [line for line in (north / "audit.jsonl").read_text().splitlines()
                if '"event":"sending"' not in line]
        forged = federation.folder / "forged.jsonl"
        forge(kept, forged)
        done = run("consilium-server", *verify, forged, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is another one than its owner signed", done.stderr)
        # The coordinator drops a site's update: each hospital sees it.
        kept = [line for line in pulled.read_text().splitlines()
                if '"event":"update_accepted"' not in line]
        forged = federation.folder / "forged-coordinator.jsonl"
        forge(kept, forged)
        done = self.client("audit", "verify", "--coordinator", forged, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is another one than its owner signed", done.stderr)


def forge(lines, path):
    """Writes a trail of these entries that is whole by itself: numbers, hashes, and the head."""
    previous = "0" * 64
    out = []
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        del entry["hash"]
        entry.update(seq=number, previous=previous)
        text = json.dumps(entry, separators=(",", ":"), ensure_ascii=False)
        previous = hashlib.sha256(text.encode()).hexdigest()
        out.append(f'{text[:-1]},"hash":"{previous}"}}')
    path.write_text("\n".join(out) + "\n")
    head = json.dumps({"entries": len(out), "hash": previous}, separators=(",", ":"))
    pathlib.Path(f"{path}.head").write_text(head.ljust(128))


if __name__ == "__main__":
    unittest.main(verbosity=2)
