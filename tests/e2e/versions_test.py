"""Clients of other versions: one of the version before takes part, one that cannot is told so."""

import pathlib
import sys
import tempfile
import time
import unittest

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import cohort, small_plan  # noqa: E402
from tests.testing.federation import Federation, wait_until  # noqa: E402
from tests.testing.previous_client import PreviousClient  # noqa: E402


class VersionsTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="consilium-e2e-")
        self.folder = pathlib.Path(self.temporary.name)
        self.data = cohort(self.folder, 0, 20)

    def tearDown(self):
        self.temporary.cleanup()

    def previous(self, federation):
        client = PreviousClient(federation.folder / "previous", "127.0.0.1")
        words = federation.invite("previous")
        client.join(federation.enrol_port, words[words.index("--token") + 1],
                    (federation.server_dir / "ca/ca.crt").read_bytes())
        return client

    def test_client_of_the_version_before_takes_part(self):
        with Federation() as federation:
            federation.join("north", self.data)
            federation.start("north")
            client = self.previous(federation)
            run_id = federation.submit(small_plan(federation.folder / "p.yaml", 2))
            wait_until(lambda: federation.show(run_id)["round"] == 1, what="the initial model")
            end = time.monotonic() + 120
            while not federation.show(run_id)["ended_unix_ms"] and time.monotonic() < end:
                task = client.next_task()
                if task is not None:
                    self.assertEqual(client.do(task), "")
            shown = federation.show(run_id)
            self.assertEqual(shown["status"], "COMPLETED", shown["reason"])
            self.assertEqual(client.done, [(1, "TASK_KIND_TRAIN"), (2, "TASK_KIND_TRAIN"),
                                           (3, "TASK_KIND_EVALUATE")])
            self.assertIn("the coordinator is consilium", federation.log("north"))

    def test_client_of_another_protocol_is_told_what_to_install(self):
        with Federation() as federation:
            client = self.previous(federation)
            self.assertIsNone(client.next_task(metadata=[("consilium-protocol", "1.99")]))
            for refused in ({"protocol": 2}, {"metadata": [("consilium-protocol", "2.0"),
                                                           ("consilium-software", "9.9")]}):
                with self.assertRaises(grpc.RpcError) as caught:
                    client.next_task(**refused)
                self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
                self.assertIn("speaks protocol 1.", caught.exception.details())
                self.assertIn("install a coordinator", caught.exception.details())


if __name__ == "__main__":
    unittest.main(verbosity=2)
