"""Hospitals that are slow, stand still, come late or join late: what becomes of their run, and when."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import cohort  # noqa: E402
from tests.testing import stragglers  # noqa: E402


class StragglersTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="consilium-e2e-")
        folder = pathlib.Path(self.temporary.name)
        self.folder = folder / "federation"
        self.folder.mkdir()
        self.cohorts = {site: cohort(folder, i, 40) for i, site in enumerate(("north", "south"))}

    def tearDown(self):
        self.temporary.cleanup()

    def run_with(self, scenario, *arguments):
        shown, figures = scenario(self.folder, self.cohorts, *arguments)
        closed = ", ".join(f"{seconds:.1f} s" for seconds in figures["rounds"])
        print(f"{shown['status']} {shown['reason']}; rounds closed after {closed}")
        return shown, figures

    def tasks(self, shown, site):
        return {(t["round"], t["kind"]): t for t in shown["tasks"] if t["site"] == site}

    def test_slow_site_that_advances_is_waited_for(self):
        shown, _ = self.run_with(stragglers.slow)
        self.assertEqual(shown["status"], "COMPLETED", shown["reason"])

    def test_site_too_slow_for_the_deadline_misses_its_round(self):
        shown, figures = self.run_with(stragglers.slow, 8)
        self.assertEqual(shown["status"], "DEGRADED", shown["reason"])
        self.assertIn("south missed round", shown["reason"])
        self.assertLess(max(figures["rounds"]), 8 + 2)

    def test_site_that_stops_advancing_is_not_waited_for(self):
        shown, figures = self.run_with(stragglers.stuck)
        self.assertEqual(shown["status"], "DEGRADED", shown["reason"])
        missed = self.tasks(shown, "south")[1, "train"]
        self.assertEqual(missed["status"], "missed")
        self.assertIn("stopped advancing: training", missed["reason"])
        self.assertLess(max(figures["rounds"]), 40)  # the deadline is 120 s away

    def test_late_update_is_dropped_by_default(self):
        shown, figures = self.run_with(stragglers.late, "drop")
        self.assertEqual(shown["status"], "DEGRADED")
        self.assertIn("south missed round 1", shown["reason"])
        # The hospital does not train to the end what nobody wants.
        self.assertIn("stopped: the coordinator has ended the task", figures["log"])

    def test_late_update_counts_in_the_next_round_where_the_plan_says_so(self):
        shown, figures = self.run_with(stragglers.late, "next_round")
        self.assertEqual(shown["status"], "DEGRADED")
        self.assertEqual(shown["reason"], "south missed round 1")
        self.assertIn("its result counts as that of", figures["log"])
        self.assertEqual(self.tasks(shown, "south")[2, "train"]["status"], "done")

    def test_site_that_joins_takes_part_from_the_next_round_on(self):
        shown, _ = self.run_with(stragglers.joins)
        self.assertEqual(shown["status"], "COMPLETED", shown["reason"])
        rounds = [round for round, kind in self.tasks(shown, "south") if kind == "train"]
        self.assertEqual(rounds, list(range(rounds[0], 5)))
        self.assertGreaterEqual(rounds[0], 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
