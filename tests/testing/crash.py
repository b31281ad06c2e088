"""Runs that are killed and go on: one prepared federation, copied for each trial.

The copies have the same run, keys and data, so the same plan must give the same model, digest by
digest, however often a process died on the way.
"""

import contextlib
import json
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import time
import unittest

from tests.testing.federation import BIN, Federation, free_port, run, wait_until, write_plan

LIBRARY = BIN.parent / "tests/libpower_cut.so"
WAYS = ("before", "half", "after", "power")  # see tests/testing/power_cut.cc


def cut(folder, at, how, count=None):
    """The environment in which a program dies at its at-th durable operation below the folder."""
    environment = {"LD_PRELOAD": str(LIBRARY), "POWER_CUT_UNDER": str(folder),
                   "POWER_CUT_HOW": how}
    if at:
        environment["POWER_CUT_AT"] = str(at)
    if count:
        environment["POWER_CUT_COUNT"] = str(count)
    return environment


@contextlib.contextmanager
def small_disk(folder, size):
    """Moves a folder to a disk of its own; gives what changes the disk's size. Needs root."""
    aside = folder.with_name(folder.name + ".aside")
    folder.rename(aside)
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        raise unittest.SkipTest("this machine lets nobody mount a small disk")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        yield lambda new: subprocess.run(["mount", "-o", f"remount,size={new}", str(folder)],
                                         check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()
        aside.rename(folder)


class Trial(Federation):
    """A copy of a prepared federation with its coordinator stopped and its run submitted."""

    def __init__(self, folder, original):
        super().__init__(folder)
        shutil.copytree(original.folder, self.folder)
        self.port, self.enrol_port, self.run_id = original.port, original.enrol_port, original.run_id
        self.sites = original.sites

    def __enter__(self):
        return self

    def __exit__(self, *error):
        super().__exit__(*error)
        shutil.rmtree(self.folder, ignore_errors=True)
        for kept in self.folder.parent.glob(f"{self.folder.name}*.kept-*"):
            kept.unlink()

    def serve(self, environment=None):
        """Starts the coordinator and does not wait for it: it may die before it listens."""
        self._start_coordinator(environment)

    def start_all(self):
        self.serve()
        for site in self.sites:
            self.start(site)

    def move(self):
        """Gives the coordinator ports of its own, so that copies can run at once."""
        self.port, self.enrol_port = free_port(), free_port()
        for home in (self.server_dir / "admin", *map(self.home, self.sites)):
            self.route(home, self.port)

    @staticmethod
    def route(home, port):
        """Lets an identity's calls go to another port."""
        file = home / "federation.yaml"
        file.write_text(re.sub(r"(endpoint: .*:)\d+", rf"\g<1>{port}", file.read_text()))

    def status(self):
        """The run's JSON; None while the coordinator does not answer."""
        try:
            done = self.ctl("--json", "run", "show", self.run_id, check=False, timeout=1)
        except subprocess.TimeoutExpired:  # it goes on trying; the coordinator may be dead
            return None
        return json.loads(done.stdout) if done.returncode == 0 else None


class Prepared(Federation):
    """Sites joined and a plan submitted; nothing has run yet."""

    def __init__(self, folder, cohorts, **plan):
        super().__init__(folder)
        self.sites = sorted(cohorts)
        self.folder.mkdir(parents=True)
        self.__enter__()
        for site, data in cohorts.items():
            self.join(site, data)
        self.run_id = self.submit(write_plan(self.folder.parent / f"{self.folder.name}.yaml", **plan))
        self.stop("coordinator")


def operations(count):
    """The operations that a file of POWER_CUT_COUNT shows."""
    return struct.unpack("<Q", pathlib.Path(count).read_bytes())[0]


def ended(trial):
    shown = trial.status()
    return shown if shown and shown["ended_unix_ms"] else None


def finish(trial, timeout=180):
    """Waits for the run's end and looks at what it left; its models."""
    try:
        shown = wait_until(lambda: ended(trial), timeout, "the end of the run")
    except TimeoutError as late:
        logs = [f"{name}:\n{trial.log(name)[-3000:]}" for name in ("coordinator", *trial.sites)]
        raise TimeoutError("\n".join([str(late), *logs])) from None
    if shown["status"] != "COMPLETED":
        raise AssertionError(f"{shown['status']}: {shown['reason']}")
    wanted = {model["digest"] for model in shown["models"]}

    def clean():
        return (not list((trial.server_dir / "incoming").iterdir())
                and {p.name for p in (trial.server_dir / "blobs").iterdir()} == wanted)
    wait_until(clean, 20, "a blob store with the global models and nothing else")
    return [(model["round"], model["digest"]) for model in shown["models"]]


def undisturbed(prepared, folder):
    """The run as it should be: its models, and how many durable operations its coordinator and its
    first hospital did."""
    counts = [folder.parent / "coordinator.count", folder.parent / "hospital.count"]
    with Trial(folder, prepared) as trial:
        trial.serve(cut(trial.server_dir, 0, "after", counts[0]))
        first = trial.sites[0]
        for site in trial.sites:
            trial.start(site, cut(trial.home(site), 0, "after", counts[1]) if site == first else None)
        return finish(trial), *map(operations, counts)


def kill_coordinator(trial, kills):
    """Starts the hospitals and a coordinator that dies as each of the kills says; how many hit."""
    for site in trial.sites:
        trial.start(site)
    return kill_in_turn(trial, "coordinator", kills,
                        lambda at, how: trial.serve(cut(trial.server_dir, at, how)), trial.serve)


def with_coordinator_kills(prepared, folder, kills):
    """The models of a run whose coordinator dies as each of the kills says, and how many hit."""
    with Trial(folder, prepared) as trial:
        hits = kill_coordinator(trial, kills)
        return finish(trial), hits


def with_power_cuts(prepared, folder, operations):
    """The models of a run whose coordinator loses power at these operations, and how many updates it lost."""
    with Trial(folder, prepared) as trial:
        kill_coordinator(trial, [(at, "power") for at in operations])
        models = finish(trial)
        return models, (trial.server_dir / "audit.jsonl").read_text().count('"event":"update_lost"')


def with_hospital_kills(prepared, folder, kills):
    """The same of its first hospital."""
    with Trial(folder, prepared) as trial:
        trial.serve()
        first, *others = trial.sites
        for site in others:
            trial.start(site)
        hits = kill_in_turn(trial, first, kills,
                            lambda at, how: trial.start(first, cut(trial.home(first), at, how)),
                            lambda: trial.start(first))
        return finish(trial), hits


def with_random_kills(prepared, folder, name, how_many, dice):
    """The same of a process that dies at times of its own: "coordinator" or a site."""
    with Trial(folder, prepared) as trial:
        trial.start_all()
        hits = 0
        while hits < how_many:
            time.sleep(dice.uniform(0.02, 0.4))
            if ended(trial):
                break
            trial.stop(name, signal.SIGKILL)
            hits += 1
            if name == "coordinator":
                trial.serve()
            else:
                trial.start(name)
        return finish(trial), hits


def with_full_disk(prepared, folder, site, size, sign, room):
    """The models of a run in which the disk of the coordinator (site: None) or of a site has only so much
    room until a sign of it is in a log; then it is given room, and what it holds is looked through."""
    with Trial(folder, prepared) as trial:
        with small_disk(trial.home(site) if site else trial.server_dir, size) as resize:
            trial.start_all()
            wait_until(lambda: any(sign in trial.log(name) for name in trial.processes), 90,
                       f"'{sign}'")
            resize(room)
            models = finish(trial)
            trial.stop("coordinator")
            run("consilium-server", "check", "--dir", trial.server_dir)
            return models


def full_disks(prepared):
    """For with_full_disk, by what there is no room for: a site or None, size, sign, room."""
    used = sum(path.stat().st_size for path in prepared.server_dir.rglob("*") if path.is_file())
    return {"uploads": (None, "3M", "the coordinator has no room", "64M"),
            # Room for the global model and two updates of 2 MB, not for their average.
            "averaging": (None, used + 7_200_000, "round 1 waits: ", "64M"),
            "checkpoints": (prepared.sites[0], "64k", "No space left", "64k")}


def kill_in_turn(trial, name, kills, start_with, start):
    """Lets a process die by one kill after another, then live; how often it did die."""
    for done, (at, how) in enumerate(kills):
        start_with(at, how)
        process = trial.processes[name]
        while process.poll() is None and not ended(trial):
            time.sleep(0.02)
        if process.poll() is None:  # the run came to its end first
            trial.stop(name)
            start()
            return done
        if process.returncode != -signal.SIGKILL:
            raise AssertionError(f"{name} ended by itself: {process.returncode}\n{trial.log(name)}")
    start()
    return len(kills)
