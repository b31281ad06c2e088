"""A short federation of three hospitals with real chest X-rays, each a process of its own."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.bench import real_sites  # noqa: E402
from tests.testing.federation import DATA, write_plan  # noqa: E402


@unittest.skipUnless((DATA / "sites").is_dir(), f"no real images at {DATA} (see CONSILIUM_DATA)")
class RealDataTest(unittest.TestCase):
    def test_two_rounds_on_real_images(self):
        with tempfile.TemporaryDirectory(prefix="consilium-e2e-") as folder:
            folder = pathlib.Path(folder)
            fields = real_sites.plan_fields(2, 64, local_epochs=0, local_steps=6)
            result, model = real_sites.federated(folder, write_plan(folder / "p.yaml", **fields))
            self.assertEqual([e["round"] for e in result["rounds"]], [0, 1, 2])
            for evaluation in result["rounds"]:
                self.assertEqual(evaluation["pooled"]["examples"], 77 + 142 + 7)
            scores = real_sites.evaluate(model, "cohen")
            # The federation's own score of its last model at a site is what the site finds alone.
            self.assertEqual(scores["confusion"],
                             result["rounds"][-1]["sites"]["cohen"]["confusion"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
