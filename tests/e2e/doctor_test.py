"""What the doctors say of sound folders, and of each fault that can be made on a test's machine."""

import contextlib
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import cohort, environment  # noqa: E402
from tests.testing.crash import small_disk  # noqa: E402
from tests.testing.federation import BIN, Federation, free_port, run  # noqa: E402
from tests.testing.tcp_proxy import TcpProxy  # noqa: E402


class DoctorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="consilium-e2e-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.data = cohort(cls.folder, 0, 60)
        cls.federation = Federation(cls.folder / "federation")
        cls.federation.folder.mkdir()
        cls.federation.__enter__()
        cls.federation.join("north", cls.data)

    @classmethod
    def tearDownClass(cls):
        cls.federation.__exit__()
        cls.temporary.cleanup()

    def setUp(self):
        """A copy of the hospital's folder, to be harmed."""
        self.home = self.folder / "copy"
        shutil.copytree(self.federation.home("north"), self.home)

    def tearDown(self):
        shutil.rmtree(self.home)

    def examine(self, program="consilium-client", folder=None):
        done = run(program, "doctor", "--json", "--dir", folder or self.home, check=False)
        found = json.loads(done.stdout)
        errors = [one for one in found if one["level"] == "error"]
        self.assertEqual(done.returncode, 1 if errors else 0, done.stderr)
        for one in found:
            self.assertEqual(bool(one["fix"]), one["level"] != "ok", one)
        return {one["code"]: one for one in found}

    def says(self, code, level, *words, **options):
        found = self.examine(**options)
        self.assertEqual(found[code]["level"], level, found[code])
        for word in words:
            self.assertIn(word, found[code]["cause"])
        return found

    def settings(self, **changed):
        file = self.home / "site.yaml"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))

    def endpoint(self, address):
        (self.home / "federation.yaml").write_text(f"federation: test\nendpoint: {address}\n")

    def test_sound_hospital(self):
        found = self.examine()
        self.assertEqual(list(found), [
            "IDENTITY", "FILE-MODE", "CERTIFICATE", "PROXY", "NAME", "REACHABLE", "TLS", "COORDINATOR",
            "CLOCK-SKEW", "SETTINGS", "DISK", "MEMORY", "DEVICE", "THREADS", "BLAS", "DATA", "BALANCE"])
        self.assertEqual([c for c, one in found.items() if one["level"] == "error"], [])
        self.assertLess(float(re.search(r"clock is ([0-9.]+) s", found["CLOCK-SKEW"]["cause"])[1]), 5)
        text = run("consilium-client", "doctor", "--dir", self.home).stdout
        self.assertEqual(len([line for line in text.splitlines() if line[0] != " "]), len(found))

    def test_sound_coordinator_and_one_that_does_not_run(self):
        folder = self.federation.server_dir
        found = self.examine("consilium-server", folder)
        self.assertEqual([c for c, one in found.items() if one["level"] == "error"], [])
        self.assertEqual(found["LISTENING"]["level"], "ok")
        self.assertIn("kept offline", found["ROOT-KEY"]["fix"])
        other = self.folder / "other"
        run("consilium-server", "init", "--dir", other, "--federation", "test", "--host", "127.0.0.1",
            "--port", free_port(), "--enrol-port", free_port())
        self.says("LISTENING", "warning", "refused", program="consilium-server", folder=other)
        (other / "ca/issuing.pem").chmod(0o640)
        found = run("consilium-server", "doctor", "--dir", other, check=False)
        self.assertEqual(found.returncode, 1)
        self.assertIn("chmod 600", found.stdout)
        self.says("FEDERATION", "error", "no federation", program="consilium-server",
                  folder=self.folder / "nothing")

    def test_key_that_others_may_read(self):
        (self.home / "identity.key").chmod(0o644)
        self.says("FILE-MODE", "error", "may be read by others")

    def test_no_identity(self):
        (self.home / "identity.crt").unlink()
        self.says("IDENTITY", "error")

    def test_name_that_does_not_resolve(self):
        self.endpoint("no-such-host.invalid:8443")
        found = self.says("NAME", "error", "no-such-host.invalid")
        self.assertNotIn("REACHABLE", found)

    def test_coordinator_that_is_away(self):
        self.endpoint(f"127.0.0.1:{free_port()}")
        found = self.says("REACHABLE", "error", "refused")
        self.assertNotIn("TLS", found)

    def test_port_that_speaks_no_tls(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def answer():
                with contextlib.suppress(OSError):
                    while True:
                        listener.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            threading.Thread(target=answer, daemon=True).start()
            self.endpoint(f"127.0.0.1:{listener.getsockname()[1]}")
            self.says("TLS", "error", "no TLS 1.3")

    def test_interception_of_tls(self):
        """What a middlebox does: TLS with a certificate of its own CA."""
        key, certificate = self.folder / "box.key", self.folder / "box.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate,
                        "-subj", "/CN=Hospital Web Gateway", "-days", "30"], check=True,
                       capture_output=True)
        port = free_port()
        box = subprocess.Popen(["openssl", "s_server", "-accept", str(port), "-key", key, "-cert",
                                certificate, "-alpn", "h2", "-quiet"], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.endpoint(f"127.0.0.1:{port}")
            for _ in range(50):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            self.says("TLS", "error", "Hospital Web Gateway", "intercepts")
        finally:
            box.kill()
            box.wait()

    def test_proxy_in_the_environment(self):
        with TcpProxy(self.federation.port) as proxy, \
                environment(https_proxy=f"http://127.0.0.1:{proxy.port}"):
            found = self.says("PROXY", "warning", "https_proxy")
            self.assertNotIn("REACHABLE", found)
            with environment(no_proxy="example.org, 127.0.0.1"):
                self.assertIn("REACHABLE", self.says("PROXY", "ok"))

    def says_later(self, shift, code):
        """What is said of the code by a hospital whose clock is that far ahead."""
        found = subprocess.run(["faketime", "-f", shift, BIN / "consilium-client", "doctor", "--json",
                                "--dir", self.home], capture_output=True, text=True).stdout
        return next(one for one in json.loads(found) if one["code"] == code)

    def test_clock_that_is_wrong(self):
        said = self.says_later("+10m", "CLOCK-SKEW")
        self.assertEqual(said["level"], "error")
        seconds = re.search(r"clock is ([0-9.]+) s behind", said["cause"])
        self.assertAlmostEqual(float(seconds[1]), 600, delta=5)

    def test_certificate_that_expires(self):
        said = self.says_later("+350d", "CERTIFICATE")
        self.assertEqual(said["level"], "warning")
        self.assertIn("is valid for 14 days", said["cause"])
        self.assertIn("expired", self.says_later("+400d", "CERTIFICATE")["cause"])

    def test_disk_that_is_nearly_full(self):
        with small_disk(self.home, "2M"):
            self.says("DISK", "error", "MiB free")

    def test_settings_that_are_wrong(self):
        (self.home / "site.yaml").write_text("thread: 3\n")
        self.says("SETTINGS", "error", "thread")

    def test_threads_and_device(self):
        self.settings(threads=1000, device="cuda")
        found = self.says("THREADS", "warning", "1000")
        self.assertEqual(found["DEVICE"]["level"], "error")

    def test_data_that_are_missing_unreadable_or_of_one_class(self):
        self.settings(data={"path": str(self.folder / "nothing")})
        self.says("DATA", "error", "nothing")
        harmed = self.folder / "harmed"
        shutil.copytree(self.data, harmed)
        for image in sorted((harmed / "images").iterdir())[:20]:
            image.write_bytes(b"not an image")
        self.settings(data={"path": str(harmed)})
        self.says("DATA", "error", "20 of 60 images cannot be read")
        manifest = harmed / "manifest.csv"
        head, *rows = manifest.read_text().splitlines()
        manifest.write_text("\n".join([head, *(row for row in rows if ",covid," in row)]) + "\n")
        self.says("BALANCE", "warning", "one class alone")


if __name__ == "__main__":
    unittest.main(verbosity=2)
