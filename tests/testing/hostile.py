"""Callers who mean no good: handshakes that never end, headers without measure, endless streams.

As a program, `-m tests.testing.hostile PORT HOME CONNECTIONS` attacks from when it prints "ready" until its
input ends, and then prints how many calls were refused.
"""

import contextlib
import pathlib
import socket
import subprocess
import sys
import threading
import time

import grpc

from tests.testing.federation import ROOT
from tests.testing.processes import resident

BIG_HEADER = 64 << 10
CHUNK = b"\x12\x01x"  # an UploadRequest with one byte of data


def read_home(home):
    home = pathlib.Path(home)
    return [(home / name).read_bytes() for name in ("ca.crt", "identity.key", "identity.crt")]


def channel(port, home):
    """A connection of its own, with a member's certificate."""
    ca, key, certificate = read_home(home)
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_metadata_size", 1 << 20))
    return grpc.secure_channel(f"127.0.0.1:{port}",
                               grpc.ssl_channel_credentials(ca, key, certificate), options)


class Attack:
    """So many hostile connections, a third of each kind, kept up until the with statement ends.

    In a process of low priority: attackers have machines of their own, and what is asked is how much of
    the coordinator's they take, not how much their own work takes of this one.
    """

    def __init__(self, port, home, connections):
        self.command = ["nice", "-n", "19", sys.executable, "-m", "tests.testing.hostile", str(port),
                        str(home), str(connections)]
        self.refused = 0

    def __enter__(self):
        self.process = subprocess.Popen(self.command, cwd=ROOT, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError("the attack did not begin")
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate("")
        self.refused = int(out or 0)


class Attackers:
    """The attack itself, in this process."""

    def __init__(self, port, home, connections):
        self.port, self.home, self.connections = port, home, connections
        self.refused = 0
        self._stop = threading.Event()
        self._resources = contextlib.ExitStack()

    def __enter__(self):
        for _ in range(self.connections // 3):
            self._resources.enter_context(contextlib.closing(self._unfinished_handshake()))
        self.threads = [threading.Thread(target=self._keep_up, args=(self.connections // 3, way))
                        for way in (self._big_header, self._endless_stream)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self.threads:
            thread.join()
        self._resources.close()

    def _unfinished_handshake(self):
        plug = socket.create_connection(("127.0.0.1", self.port))
        plug.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello, and no more
        return plug

    def _keep_up(self, how_many, way):
        with contextlib.ExitStack() as stack:
            channels = [stack.enter_context(channel(self.port, self.home)) for _ in range(how_many)]
            calls = [way(one) for one in channels]
            while not self._stop.wait(0.5):
                for i, call in enumerate(calls):
                    if call.done():
                        self.refused += call.code() != grpc.StatusCode.OK
                        calls[i] = way(channels[i])
            for call in calls:
                call.cancel()

    def _big_header(self, one):
        call = one.unary_unary("/consilium.v1.ModelService/ListModels")
        return call.future(b"", metadata=(("x-big", "a" * BIG_HEADER),), timeout=60)

    def _endless_stream(self, one):
        def drip():
            while not self._stop.wait(1):
                yield CHUNK
        return one.stream_unary("/consilium.v1.BlobService/Upload").future(drip())


def peak_resident(pid, seconds):
    """The most that it has within that time."""
    end = time.monotonic() + seconds
    peak = 0
    while time.monotonic() < end:
        peak = max(peak, resident(pid))
        time.sleep(0.2)
    return peak


if __name__ == "__main__":
    with Attackers(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])) as attackers:
        print("ready", flush=True)
        sys.stdin.read()
    print(attackers.refused)
