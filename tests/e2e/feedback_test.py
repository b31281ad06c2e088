"""What a reader says of a picture: kept, decided about, and only then trained on."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import CohortTest, small_plan  # noqa: E402
from tests.testing.federation import Federation, run  # noqa: E402
from tests.testing.served import Served  # noqa: E402


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

            server = Served("--dir", north)
            try:
                status, body = server.post("/v1/corrections?label=covid&reader=Dr.%20Jung", picture.read_bytes())
                self.assertEqual(status, 200)
                noted = json.loads(body)
            finally:
                code = server.stop()
            self.assertEqual(code, 0)

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
