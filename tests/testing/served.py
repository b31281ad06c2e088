"""The page of a model, as `consilium-client serve` gives it."""

import http.client
import re
import subprocess
import time

from tests.testing.federation import BIN


class Served:
    """The server, until the end of the block or `stop`."""

    def __init__(self, *options):
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            [BIN / "consilium-client", "serve", "--listen", "127.0.0.1:0", *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = self.process.stdout.readline().strip()
        self.root, self.host, self.port, self.token = re.fullmatch(
            r"(http://(127\.0\.0\.1):(\d+)/)#token=([0-9a-f]{48})", self.address).groups()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Its exit code."""
        self.process.terminate()
        self.process.stdout.close()
        return self.process.wait(60)

    def post(self, path, body):
        """The answer's status and body."""
        return self._call("POST", path, body)

    def get(self, path):
        return self._call("GET", path)

    def _call(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=60)
        connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
