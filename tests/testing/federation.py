"""A real federation on this machine for tests and benchmarks: real processes, real TLS, free ports."""

import json
import os
import pathlib
import random
import shlex
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("CONSILIUM_BIN", ROOT / "build/release/bin"))
DATA = pathlib.Path(os.environ.get("CONSILIUM_DATA", ROOT.parent / "shared/data"))


given_ports = set()


def free_port():
    """A port that nothing listens on, below those that the kernel gives away by itself: until it is
    listened on, no connection and no proxy takes it."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as probe:
            if port in given_ports or probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        given_ports.add(port)
        return port


def run(program, *arguments, check=True, timeout=600):
    """Runs one of the project's programs to its end; with check, a failure raises with its stderr."""
    command = [str(BIN / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                          timeout=timeout)
    if check and done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_until(condition, timeout=60, what="the condition"):
    """Polls until condition() is true; what it gave."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise TimeoutError(f"{what} did not come within {timeout} s")


def write_plan(path, **fields):
    """Writes a plan; nested dictionaries are nested fields."""
    path.write_text(json.dumps(fields))  # JSON is YAML
    return path


class Federation:
    """A coordinator and its hospitals in a folder of their own. Use it in a with statement."""

    def __init__(self, folder=None, host="127.0.0.1"):
        self.host = host  # what hospitals call
        self.address = "127.0.0.1"  # where the coordinator listens
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="consilium-")
        self.folder = pathlib.Path(folder or self._temporary.name)
        self.port, self.enrol_port = free_port(), free_port()
        self.server_dir = self.folder / "coordinator"
        self.processes = {}

    def __enter__(self):
        run("consilium-server", "init", "--dir", self.server_dir, "--federation", "test", "--host",
            self.host, "--port", self.port, "--enrol-port", self.enrol_port)
        self.serve()
        return self

    def __exit__(self, *_):
        for name in list(self.processes):
            self.stop(name)
        if self._temporary:
            self._temporary.cleanup()

    def _start(self, name, *command, environment=None):
        log = open(self.folder / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen([str(BIN / command[0]), *map(str, command[1:])],
                                                stdout=log, stderr=log,
                                                env={**os.environ, **(environment or {})})
        log.close()

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    def _start_coordinator(self, environment=None):
        self._start("coordinator", "consilium-server", "serve", "--dir", self.server_dir, "--listen",
                    f"{self.address}:{self.port}", "--enrol", f"{self.address}:{self.enrol_port}",
                    environment=environment)

    def serve(self):
        self._start_coordinator()
        wait_until(lambda: "listening" in self.log("coordinator"), what="the coordinator")

    def ctl(self, *arguments, **options):
        return run("consilium-ctl", "--dir", self.server_dir / "admin", *arguments, **options)

    def ctl_json(self, *arguments):
        return json.loads(self.ctl("--json", *arguments).stdout)

    def home(self, site):
        return self.folder / site

    def invite(self, site):
        """The words of the join line, without the program and --dir."""
        words = shlex.split(self.ctl("invite", site).stdout)
        return words[1:words.index("--dir")]

    def join(self, site, data="", threads=1, **site_data):
        """Invites and joins a hospital; site_data are further fields of site.yaml's data."""
        run("consilium-client", *self.invite(site), "--dir", self.home(site))
        settings = {"data": {"path": str(data), **site_data}, "threads": threads, "device": "cpu"}
        (self.home(site) / "site.yaml").write_text(json.dumps(settings))

    def become_region(self, higher, name):
        """From now on this coordinator is a hospital of that name to a higher one."""
        self.stop("coordinator")
        home = self.folder / "higher"
        run("consilium-client", *higher.invite(name), "--dir", home)
        with open(self.server_dir / "server.yaml", "a") as settings:
            settings.write(f"higher: {home}\n")
        (self.folder / "coordinator.log").unlink()  # of the start before
        self.serve()

    def start(self, site, environment=None):
        self._start(site, "consilium-client", "start", "--dir", self.home(site),
                    environment=environment)

    def stop(self, name, how=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode

    def submit(self, plan, *options):
        return self.ctl("run", "submit", plan, *options).stdout.strip()

    def show(self, run_id):
        return self.ctl_json("run", "show", run_id)

    def wait(self, run_id, timeout=600):
        """Waits until a run has ended or paused; gives its JSON."""
        def rests():
            shown = self.show(run_id)
            return shown if shown["ended_unix_ms"] or shown["status"] == "PAUSED" else None
        return wait_until(rests, timeout, f"the end of {run_id}")
