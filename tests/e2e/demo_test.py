"""deploy/demo.sh does what the README says of it, and leaves nothing running."""

import pathlib
import signal
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "deploy/demo.sh"


class DemoTest(unittest.TestCase):
    def test_short_demo(self):
        with tempfile.TemporaryDirectory(prefix="consilium-demo-") as folder:
            done = subprocess.run([DEMO, "--sites", "2", "--rounds", "2", "--arch", "simple_cnn",
                                   "--keep", folder], capture_output=True, text=True, timeout=600)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            for wanted in ("round   2/2", "COMPLETED", "pulled.safetensors", "prediction",
                           "Where everything lies"):
                self.assertIn(wanted, done.stdout)
            folder = pathlib.Path(folder)
            self.assertTrue((folder / "hospital-1/models/pulled.safetensors").is_file())
            self.assertIn("stopping", (folder / "coordinator.log").read_text())

    def test_ctrl_c_stops_what_was_started(self):
        with tempfile.TemporaryDirectory(prefix="consilium-demo-") as folder:
            demo = subprocess.Popen([DEMO, "--rounds", "500", "--arch", "simple_cnn", "--keep", folder],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                    start_new_session=True)
            for line in demo.stdout:
                if line.startswith("round "):
                    break
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=30)
            self.assertEqual(demo.returncode, 130, "not the exit code of an interrupt")
            left = subprocess.run(["pgrep", "-r", "RSD", "-g", str(demo.pid)], capture_output=True, text=True)
            self.assertEqual(left.stdout, "", "processes are left")


if __name__ == "__main__":
    unittest.main(verbosity=2)
