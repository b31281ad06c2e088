"""Rounds without training over a real coordinator, and what it takes meanwhile."""

import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.testing.crash import Trial  # noqa: E402
from tests.testing.federation import BIN, Federation  # noqa: E402
from tests.testing.model_reader import read_model  # noqa: E402
from tests.testing.processes import cpu_seconds, open_files  # noqa: E402

BENCH = BIN.parent / "bench"


def output_json(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()][-1]


class Watched:
    """A process's greatest memory of its own (files that it maps are the page cache's), threads and open files."""

    def __init__(self, pid):
        self.pid, self.memory, self.mapped, self.threads, self.files = pid, 0, 0, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _status(self):
        return dict(line.split(":", 1) for line in
                    pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines())

    def _watch(self):
        while not self._stop.wait(0.02):
            try:
                status = self._status()
            except OSError:
                return
            self.memory = max(self.memory, 1024 * int(status["RssAnon"].split()[0]))
            self.mapped = max(self.mapped, 1024 * int(status["RssFile"].split()[0]))
            self.threads = max(self.threads, int(status["Threads"]))
            self.files = max(self.files, open_files(self.pid))

    def __enter__(self):
        self._cpu = cpu_seconds(self.pid)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.cpu = cpu_seconds(self.pid) - self._cpu
        self._stop.set()
        self._thread.join()

    def figures(self):
        return {"memory_bytes": self.memory, "mapped_bytes": self.mapped, "threads": self.threads,
                "open_files": self.files, "cpu_seconds": self.cpu}


class Crowd:
    """A running coordinator, and so many hospitals' identities. Use it in a with statement."""

    def __init__(self, sites):
        self.temporary = tempfile.TemporaryDirectory(prefix="consilium-bench-")
        self.folder = pathlib.Path(self.temporary.name)
        self.federation = Federation(self.folder / "federation")
        self.sites = sites

    def __enter__(self):
        (self.folder / "federation").mkdir()
        self.federation.__enter__()
        self.federation.stop("coordinator")
        subprocess.run([BENCH / "sites_bench", "join", self.federation.server_dir, str(self.sites), self.identities],
                       check=True)
        (self.folder / "federation/coordinator.log").unlink()  # of the start before
        begin = time.monotonic()
        self.federation.serve()
        self.start_seconds = time.monotonic() - begin
        self.coordinator = self.federation.processes["coordinator"].pid
        return self

    def __exit__(self, *error):
        self.federation.__exit__(*error)
        self.temporary.cleanup()

    @property
    def identities(self):
        return self.folder / "identities"

    def rounds(self, architecture, rounds):
        with Watched(self.coordinator) as watched:
            figures = output_json(BENCH / "sites_bench", "rounds", self.federation.server_dir, self.identities,
                                  architecture, rounds)
        return {**figures, "coordinator": watched.figures()}

    def route(self, port):
        """Lets the hospitals' calls go to another port."""
        for home in self.identities.iterdir():
            Trial.route(home, port)


class Tree:
    """A coordinator whose hospitals are regions, and so many hospitals in each. Use it in a with statement."""

    def __init__(self, regions, sites):
        self.temporary = tempfile.TemporaryDirectory(prefix="consilium-bench-")
        self.folder = pathlib.Path(self.temporary.name)
        self.federation = Federation(self.folder / "top")
        self.regions = {f"region-{i}": Federation(self.folder / f"region-{i}") for i in range(regions)}
        self.sites = sites

    def __enter__(self):
        for federation in (self.federation, *self.regions.values()):
            federation.folder.mkdir()
            federation.__enter__()
        self.identities.mkdir()
        for name, region in self.regions.items():
            region.stop("coordinator")
            joined = self.folder / f"{name}-identities"
            subprocess.run([BENCH / "sites_bench", "join", region.server_dir, str(self.sites), joined], check=True)
            for home in joined.iterdir():
                home.rename(self.identities / f"{name}-{home.name}")
            region.serve()
            region.become_region(self.federation, name)
        return self

    def __exit__(self, *error):
        for federation in (*self.regions.values(), self.federation):
            federation.__exit__(*error)
        self.temporary.cleanup()

    @property
    def identities(self):
        return self.folder / "identities"

    def rounds(self, architecture, rounds):
        return output_json(BENCH / "sites_bench", "rounds", self.federation.server_dir, self.identities,
                           architecture, rounds)


def last_model(federation, folder):
    """The values of the newest run's last model."""
    run_id = federation.ctl_json("run", "list")[0]["run"]
    path = folder / "last.safetensors"
    federation.ctl("model", "pull", run_id, "-o", path)
    return read_model(path)[0]


def noop_rounds(architecture, sites, rounds):
    with Crowd(sites) as crowd:
        return crowd.rounds(architecture, rounds)
