"""Networks that are cut, held, slow or lossy: the run ends with the same models, and little is sent twice."""

import concurrent.futures
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import cohort  # noqa: E402
from tests.testing import networks  # noqa: E402

SMALL = ("partition", "half_open", "delay", "slow_line", "loss", "other_port")
IN_NAMESPACE = ("loss", "other_address")


class NetworksTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Starts all scenarios: they mostly wait."""
        cls.temporary = tempfile.TemporaryDirectory(prefix="consilium-e2e-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cohorts = {site: cohort(cls.folder, i, 20) for i, site in enumerate(("north", "south"))}
        small = networks.prepare(cls.folder / "small", cohorts)
        large = networks.prepare(cls.folder / "large", cohorts, **networks.LARGE)
        slow = networks.prepare(cls.folder / "slow", cohorts, **networks.SLOW)
        cls.wanted_small, _ = networks.undisturbed(small, cls.folder / "undisturbed")
        cls.wanted_large, cls.size = networks.undisturbed(large, cls.folder / "undisturbed")
        cls.wanted_slow, _ = networks.undisturbed(slow, cls.folder / "undisturbed")
        cls.pool = concurrent.futures.ThreadPoolExecutor(len(SMALL) + 5)
        cls.results = {}
        for name in SMALL:
            if name not in IN_NAMESPACE or namespace:
                cls.start(name, small, cls.folder / name)
        for name in ("cut_uploads", "cut_downloads"):
            cls.start(name, large, cls.folder / name, cls.size)
        cls.start("long_line", slow, cls.folder / "long_line")
        # In the middle of the first download.
        cls.results["download"] = cls.pool.submit(networks.restarted, large, cls.folder / "download",
                                                  "received", cls.size // 2)
        if namespace:
            cls.start("other_address", cls.folder / "other_address", cohorts)

    @classmethod
    def start(cls, name, *arguments):
        cls.results[name] = cls.pool.submit(getattr(networks, name), *arguments)

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown()
        cls.temporary.cleanup()

    def check(self, name, wanted):
        models, figures = self.results[name].result()
        print(name, {key: value for key, value in figures.items() if key != "log"})
        self.assertEqual(models, wanted)
        return figures

    def test_partition_for_longer_than_keepalive(self):
        figures = self.check("partition", self.wanted_small)
        self.assertIn("next attempt", figures["log"])  # the connection did not outlive it

    def test_half_open_connection_is_noticed(self):
        figures = self.check("half_open", self.wanted_small)
        self.assertGreater(figures["seconds"], 20)  # nothing passed until somebody noticed
        self.assertLess(figures["seconds"], networks.KEEPALIVE + 60)

    def test_delay(self):
        self.assertGreater(self.check("delay", self.wanted_small)["seconds"], 4)  # ten times to and fro

    def test_long_line_is_used_by_several_connections(self):
        self.assertGreater(self.check("long_line", self.wanted_slow)["connections"], 3)

    def test_slow_line(self):
        figures = self.check("slow_line", self.wanted_small)
        bits = 8 * max(figures["sent"], figures["received"])
        self.assertGreater(figures["seconds"], bits / 1e6)

    def test_coordinator_on_another_port(self):
        self.check("other_port", self.wanted_small)

    def test_upload_cut_at_every_tenth_sends_at_most_a_chunk_twice(self):
        figures = self.check("cut_uploads", self.wanted_large)
        self.assertEqual(figures["cuts"], 10)
        self.assertLess(networks.sent_twice(figures), 1)

    def test_download_cut_at_every_tenth_fetches_little_twice(self):
        figures = self.check("cut_downloads", self.wanted_large)
        self.assertEqual(figures["cuts"], 10)
        self.assertLess(networks.fetched_twice(figures, self.size), 1)

    def test_download_goes_on_in_the_next_process(self):
        figures = self.check("download", self.wanted_large)
        self.assertLess(networks.fetched_twice(figures, self.size), 2)

    def test_loss_of_packets(self):
        if "loss" not in self.results:
            self.skipTest("this machine lets nobody make a network namespace")
        self.assertGreater(self.check("loss", self.wanted_small)["dropped"], 0)

    def test_name_that_comes_to_mean_another_address(self):
        if "other_address" not in self.results:
            self.skipTest("this machine lets nobody make a network namespace")
        self.assertEqual(self.results["other_address"].result()["status"], "COMPLETED")


if __name__ == "__main__":
    namespace = networks.enter_namespace()
    unittest.main(verbosity=2)
