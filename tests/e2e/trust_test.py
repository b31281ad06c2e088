"""Certificates over their life: renewal and revocation while a round runs, roles, encrypted keys."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import CohortTest, environment  # noqa: E402
from tests.testing.federation import Federation, run, wait_until, write_plan  # noqa: E402

SITES = ("north", "south", "west")
PLAN = {"name": "trust", "rounds": 2, "quorum": {"count": 1}, "round_deadline_seconds": 120,
        "model": {"architecture": "simple_cnn", "input_size": 32},
        "training": {"local_steps": 250, "batch_size": 8, "learning_rate": 0.01}}


def later(shift):
    """The environment of a process whose clock is that far ahead. Under it gRPC's timers never ring
    (their futexes know the kernel's time alone), so what waits on one does not see that it is told to
    stop: such a process is killed."""
    text = subprocess.run(["faketime", "-f", shift, "printenv", "LD_PRELOAD", "FAKETIME"], check=True,
                          capture_output=True, text=True).stdout
    return dict(zip(("LD_PRELOAD", "FAKETIME"), text.splitlines()))


class TrustTest(CohortTest):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.__exit__)
        self.federation.__enter__()

    def start(self, *sites, **options):
        for i, site in enumerate(sites):
            self.federation.join(site, self.cohorts[i])
            self.federation.start(site, **options)

    def submit(self, **fields):
        return self.federation.submit(
            write_plan(self.federation.folder / "plan.yaml", **{**PLAN, **fields}))

    def trains(self, run_id):
        """Waits until every site is at its training."""
        def stages():
            tasks = self.federation.show(run_id)["tasks"]
            return [t for t in tasks if t["status"] == "open" and t["stage"] == "training"]
        wait_until(lambda: len(stages()) == len(SITES), what="training at every site")

    def test_everybody_renews_during_a_round(self):
        self.start(*SITES)
        federation = self.federation
        run_id = self.submit()
        self.trains(run_id)
        admin = federation.server_dir / "admin"
        files = [admin / "identity.crt", federation.server_dir / "server.pem",
                 federation.server_dir / "ca/issuing.pem",
                 *(federation.home(site) / "identity.crt" for site in SITES)]
        before = [file.read_text() for file in files]
        for site in SITES:
            run("consilium-client", "renew", "--dir", federation.home(site))
        vault = federation.folder / "vault"  # where the root's key is kept
        shutil.move(federation.server_dir / "ca/root", vault)
        run("consilium-server", "renew", "--dir", federation.server_dir, "--root", vault)
        federation.ctl("renew")
        for file, former in zip(files, before):
            self.assertNotEqual(file.read_text(), former, file)
        shown = federation.wait(run_id)
        self.assertEqual(shown["status"], "COMPLETED", shown["reason"])
        for site in SITES:
            self.assertIn("calling with a renewed certificate", federation.log(site))
            self.assertNotIn("next attempt", federation.log(site))  # no call failed
        self.assertIn("another issuing CA", federation.log("coordinator"))
        federation.join("late")  # under the new one

    def test_revoked_site_is_cut_and_the_round_goes_on(self):
        self.start(*SITES)
        federation = self.federation
        run_id = self.submit()
        self.trains(run_id)
        federation.ctl("revoke", "west")
        self.assertNotEqual(federation.processes["west"].wait(timeout=60), 0)
        self.assertIn("revoked", federation.log("west"))
        shown = federation.wait(run_id)
        self.assertEqual(shown["status"], "DEGRADED")
        self.assertIn("west", shown["reason"])
        text = federation.server_dir / "ca/crl.pem"
        wait_until(lambda: "Serial Number" in subprocess.run(
            ["openssl", "crl", "-in", text, "-noout", "-text"], capture_output=True,
            text=True).stdout, what="the published revocation list")
        # Invited again, it is in again.
        shutil.rmtree(federation.home("west"))
        federation.processes.pop("west")
        self.start("west")
        self.assertEqual(federation.wait(self.submit(rounds=1))["status"], "COMPLETED")

    def test_agent_renews_by_itself_when_a_third_is_left(self):
        federation = self.federation
        federation.join("north", self.cohorts[0])
        former = (federation.home("north") / "identity.crt").read_text()
        federation.start("north", later("+250d"))
        wait_until(lambda: "calling with a renewed" in federation.log("north"), what="the renewal")
        self.assertNotEqual((federation.home("north") / "identity.crt").read_text(), former)
        federation.stop("north", signal.SIGKILL)

    def test_agent_warns_before_the_end(self):
        federation = self.federation
        federation.join("north", self.cohorts[0])
        federation.stop("coordinator")
        federation.start("north", later("+340d"))
        wait_until(lambda: "the certificate of this site ends in 24 days" in federation.log("north"),
                   what="the warning")
        self.assertIn("was not renewed", federation.log("north"))
        federation.stop("north", signal.SIGKILL)

    def test_admin_whose_key_was_lost_is_made_again(self):
        federation = self.federation
        shutil.rmtree(federation.server_dir / "admin")
        run("consilium-server", "renew", "--dir", federation.server_dir, "--admin")
        self.assertEqual(federation.ctl("sites", check=False).returncode, 1)
        federation.stop("coordinator")
        federation.serve()
        federation.ctl("sites")

    def test_other_roles_do_what_the_table_says(self):
        federation = self.federation
        words = federation.ctl("invite", "eye", "--role", "observer").stdout.split()
        eye = federation.folder / "eye"
        said = run("consilium-client", *words[1:words.index("--dir")], "--dir", eye).stdout
        self.assertIn("Joined as observer 'eye'", said)
        self.assertFalse((eye / "site.yaml").exists())
        sites = json.loads(run("consilium-ctl", "--dir", eye, "--json", "sites").stdout)
        self.assertEqual({s["site"]: s["role"] for s in sites},
                         {"admin": "admin", "eye": "observer"})
        done = run("consilium-ctl", "--dir", eye, "invite", "mole", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("observer 'eye' may not call AdminService/Invite", done.stderr)
        done = run("consilium-ctl", "--dir", federation.server_dir / "admin", "revoke", "admin",
                   check=False)
        self.assertIn("last admin", done.stderr)


class PassphraseTest(CohortTest):
    def test_keys_are_encrypted_on_every_disk(self):
        secret = self.folder / "passphrase"
        secret.write_text("correct horse battery staple\n")
        with environment(CONSILIUM_PASSPHRASE_FILE=str(secret)), Federation() as federation:
            federation.join("north", self.cohorts[0])
            federation.start("north")
            plan = {**PLAN, "rounds": 1, "training": {"local_steps": 10, "batch_size": 8}}
            run_id = federation.submit(write_plan(self.folder / "plan.yaml", **plan))
            self.assertEqual(federation.wait(run_id)["status"], "COMPLETED")
            run("consilium-client", "renew", "--dir", federation.home("north"))
            keys = 0
            for file in federation.folder.rglob("*"):
                if file.is_file() and b"PRIVATE KEY" in file.read_bytes():
                    keys += 1
                    self.assertIn(b"BEGIN ENCRYPTED PRIVATE KEY", file.read_bytes(), file)
            self.assertEqual(keys, 6)  # root, issuing CA, coordinator, its signing key, admin, hospital
            federation.stop("coordinator")
            with environment(CONSILIUM_PASSPHRASE_FILE=None):
                done = run("consilium-server", "serve", "--dir", federation.server_dir, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("encrypted, and there is no passphrase", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
