"""What a reader says of a picture: kept, decided about, and only then trained on."""

import http.client
import json
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import CohortTest, small_plan  # noqa: E402
from tests.testing.federation import BIN, Federation, run  # noqa: E402


class FeedbackTest(CohortTest):
    def examples(self, shown):
        return {task["round"]: task["train_examples"] for task in shown["tasks"] if task["kind"] == "train"}

    def test_correction_is_trained_on_once_it_is_accepted(self):
        with Federation() as federation:
            federation.join("north", self.cohorts[0])
            federation.start("north")
            plan = small_plan(federation.folder / "plan.yaml", rounds=1)
            before = self.examples(federation.wait(federation.submit(plan)))
            north = federation.home("north")
            run("consilium-client", "pull", "--dir", north)
            picture = next(self.cohorts[1].rglob("*.png"))

            server = subprocess.Popen([BIN / "consilium-client", "serve", "--dir", north, "--listen", "127.0.0.1:0"],
                                      stdout=subprocess.PIPE, text=True)
            self.addCleanup(server.stdout.close)
            try:
                port, token = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/#token=(\w+)\n",
                                           server.stdout.readline()).groups()
                connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
                connection.request("POST", "/v1/corrections?label=covid&reader=Dr.%20Jung", picture.read_bytes(),
                                   {"Authorization": f"Bearer {token}"})
                answer = connection.getresponse()
                self.assertEqual(answer.status, 200)
                noted = json.loads(answer.read())
            finally:
                server.terminate()
                self.assertEqual(server.wait(60), 0)

            listed = json.loads(run("consilium-client", "feedback", "list", "--dir", north, "--json").stdout)
            self.assertEqual([(one["id"], one["state"], one["reader"]) for one in listed],
                             [(noted["id"], "pending", "Dr. Jung")])
            self.assertEqual(self.examples(federation.wait(federation.submit(plan))), before)

            refused = run("consilium-client", "feedback", "accept", "--dir", north, "nothing", "--by", "Dr. Alt",
                          check=False)
            self.assertEqual(refused.returncode, 1)
            run("consilium-client", "feedback", "accept", "--dir", north, noted["id"], "--by", "Dr. Alt")
            after = self.examples(federation.wait(federation.submit(plan)))
            self.assertEqual(after[1], before[1] + 1)
            trail = run("consilium-client", "audit", "show", "--dir", north).stdout
            self.assertIn('"correction_accepted"', trail)
            self.assertIn('"Dr. Alt"', trail)

            run("consilium-client", "feedback", "reject", "--dir", north, noted["id"], "--by", "Dr. Alt")
            self.assertEqual(self.examples(federation.wait(federation.submit(plan))), before)


if __name__ == "__main__":
    unittest.main()
