"""A real Orthanc for tests and benchmarks: a PACS on the loopback."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request

from tests.testing.federation import free_port, wait_until


class Orthanc:
    """A PACS, until the end of the block. It knows 'consilium' at that port."""

    PROGRAM = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")

    def __init__(self, folder, port, consilium_port):
        self.http = free_port()
        config = {"StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "HttpPort": self.http,
                  "DicomPort": port, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
                  "DicomModalities": {"consilium": ["CONSILIUM", "127.0.0.1", consilium_port]},
                  "DicomAlwaysAllowStore": True, "DicomCheckModalityHost": False}
        folder.mkdir()
        (folder / "orthanc.json").write_text(json.dumps(config))
        self.process = subprocess.Popen([self.PROGRAM, folder / "orthanc.json"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, timeout=60, what="Orthanc")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def call(self, path, body=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", body, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def answers(self):
        try:
            return self.call("/system") is not None
        except (urllib.error.URLError, ConnectionError):
            return False
