"""A TCP proxy that counts the bytes each way and, when told to, behaves as bad networks do."""

import contextlib
import queue
import socket
import threading
import time

PIECE = 1 << 14
BUFFER = 1 << 16  # of a connection: what is sent must not lie in this machine's memory, uncounted
END = object()


class TcpProxy:
    """Listens on a free port until closed and forwards to a port, which may be changed.

    sent: bytes from callers; received: bytes to them; connections: how many there have been. delay: seconds each way; rate: bytes a second
    each way. cut_every: each of the first `cuts` connections that carries as many bytes the way that
    cut_way says ends there.
    """

    def __init__(self, port, delay=0, rate=None, cut_every=None, cuts=0, cut_way="sent"):
        self.target = ("127.0.0.1", port)
        self.sent = self.received = self.connections = 0
        self.cuts = 0
        self._delay, self._rate = delay, rate
        self._cut_every, self._cuts_wanted, self._cut_way = cut_every, cuts, cut_way
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._connections = []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        self._flows.set()
        self.cut()

    @contextlib.contextmanager
    def partition(self):
        """Nothing passes, and nobody is told, until the end of the with statement."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    def strand(self):
        """The connections there are become half-open: they never end and nothing passes on them."""
        with self._lock:
            for connection in self._connections:
                connection["stranded"] = True
            self._connections = []

    def cut(self):
        """Ends all connections at once."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            self._shut(connection)

    @staticmethod
    def _shut(connection):
        for end in (connection["caller"], connection["server"]):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes who waits on it
            end.close()  # what was sent and not read is answered with a reset, as by a dead machine

    def _accept(self):
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(caller,), daemon=True).start()

    def _connect(self, caller):
        self._flows.wait()
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        try:
            server.connect(self.target)
        except OSError:
            server.close()
            caller.close()
            return
        connection = {"caller": caller, "server": server, "stranded": False, "carried": 0}
        with self._lock:
            self._connections.append(connection)
            self.connections += 1
        for source, sink, way in ((caller, server, "sent"), (server, caller, "received")):
            pieces = queue.Queue(maxsize=4096 if self._delay else 1)  # what the line holds
            threading.Thread(target=self._read, args=(connection, source, way, pieces),
                             daemon=True).start()
            threading.Thread(target=self._write, args=(connection, sink, pieces), daemon=True).start()

    def _read(self, connection, source, way, pieces):
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                self._flows.wait()
                with self._lock:
                    setattr(self, way, getattr(self, way) + len(data))
                if self._rate:
                    time.sleep(len(data) / self._rate)
                pieces.put((time.monotonic() + self._delay, data))
                if way == self._cut_way and self._must_cut(connection, len(data)):
                    self._shut(connection)
                    break
        pieces.put((0, END))

    def _must_cut(self, connection, size):
        with self._lock:
            connection["carried"] += size
            if (self.cuts >= self._cuts_wanted or not self._cut_every
                    or connection["carried"] < self._cut_every):
                return False
            self.cuts += 1
            return True

    def _write(self, connection, sink, pieces):
        while True:
            due, data = pieces.get()
            if connection["stranded"]:
                continue  # it lives on, and swallows
            time.sleep(max(0, due - time.monotonic()))
            self._flows.wait()
            if data is END:
                break
            with contextlib.suppress(OSError):
                sink.sendall(data)
                continue
            break
        self._shut(connection)
