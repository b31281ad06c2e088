"""Hospitals that are slow, stand still, come late or join late, each in a run of its own.

Each scenario gives the run's JSON and figures; scenarios may run at once.
"""

import contextlib
import ctypes
import os
import signal
import threading
import time

from tests.testing.federation import Federation, wait_until, write_plan

MODEL = {"architecture": "simple_cnn", "input_size": 32}
STEPS = {"local_steps": 40, "batch_size": 8, "learning_rate": 0.01}


@contextlib.contextmanager
def hospitals(folder, cohorts):
    with Federation(folder) as federation:
        for site, data in cohorts.items():
            federation.join(site, data)
        yield federation


def submit(federation, **fields):
    plan = {"name": "stragglers", "rounds": 2, "quorum": {"count": 1}, "round_deadline_seconds": 600,
            "model": MODEL, "training": STEPS, **fields}
    return federation.submit(write_plan(federation.folder / "plan.yaml", **plan))


def task(federation, run_id, site, **wanted):
    """The site's newest task that is as wanted; None where there is none."""
    tasks = [t for t in federation.show(run_id)["tasks"]
             if t["site"] == site and all(t[key] == value for key, value in wanted.items())]
    return tasks[-1] if tasks else None


@contextlib.contextmanager
def slowed(process, factor):
    """Lets a process run for one part in `factor` of the time."""
    done = threading.Event()

    def alternate():
        while not done.is_set():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGSTOP)
                done.wait(0.02 * (factor - 1))
                process.send_signal(signal.SIGCONT)
                done.wait(0.02)

    thread = threading.Thread(target=alternate)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        process.send_signal(signal.SIGCONT)


def round_seconds(federation):
    """How long each round took to close, from the coordinator's log."""
    def at(line):
        return time.mktime(time.strptime(line[1:20], "%Y-%m-%d %H:%M:%S")) + float("0" + line[20:24])
    opened, seconds = None, []
    for line in federation.log("coordinator").splitlines():
        if " TRAINING" in line:
            opened = at(line)
        elif " AGGREGATING" in line:
            seconds.append(at(line) - opened)
    return seconds


def slow(folder, cohorts, deadline=600):
    """A site that is twenty times slower than it could be, and advances."""
    with hospitals(folder, cohorts) as federation:
        for site in cohorts:
            federation.start(site)
        wait_until(lambda: "waiting for rounds" in federation.log("south"))
        with slowed(federation.processes["south"], 20):
            steps = 40 if deadline > 60 else 150  # enough for the one, too many for the other
            run_id = submit(federation, rounds=1, round_deadline_seconds=deadline,
                            training={**STEPS, "local_steps": steps})
            shown = federation.wait(run_id, 300)
        return shown, {"rounds": round_seconds(federation)}


def hold_main_thread(pid, others_go_on):
    """Holds a process's first thread, as a device or a disk that does not answer would. Where it was in
    the middle of something that the others wait for, it is let go and held again. Its death ends it."""
    libc = ctypes.CDLL(None, use_errno=True)
    seize, interrupt, detach = 0x4206, 0x4207, 17  # as <sys/ptrace.h> has them
    while True:
        for request in (seize, interrupt):
            if libc.ptrace(request, pid, None, None) != 0:
                raise OSError(ctypes.get_errno(), "ptrace")
        if others_go_on():
            return
        libc.ptrace(detach, pid, None, None)
        time.sleep(0.1)


def stuck(folder, cohorts):
    """A site whose training stands still while it goes on to speak to the coordinator."""
    with hospitals(folder, cohorts) as federation:
        for site in cohorts:
            federation.start(site)
        run_id = submit(federation, rounds=1, round_deadline_seconds=120,
                        training={**STEPS, "local_steps": 300})
        wait_until(lambda: (task(federation, run_id, "south", kind="train", status="open")
                            or {}).get("stage") == "training", what="the site's training")

        def speaks():
            at = time.time()
            time.sleep(2)
            south = task(federation, run_id, "south", kind="train")
            return south["status"] != "open" or south["heard_unix_ms"] > (at + 1) * 1000

        hold_main_thread(federation.processes["south"].pid, speaks)
        shown = federation.wait(run_id, 150)
        # Not by Popen, which takes the stop of a held process for its end.
        os.kill(federation.processes["south"].pid, signal.SIGKILL)
        return shown, {"rounds": round_seconds(federation)}


def late(folder, cohorts, late_updates):
    """A site that stops in its training until its round is over, and then goes on."""
    with hospitals(folder, cohorts) as federation:
        for site in cohorts:
            federation.start(site)
        training = {**STEPS, "local_steps": 150}
        run_id = submit(federation, round_deadline_seconds=10, late_updates=late_updates,
                        training=training)
        south = federation.processes["south"]
        wait_until(lambda: (task(federation, run_id, "south", kind="train", status="open")
                            or {}).get("stage") == "training", what="the slow site's training")
        south.send_signal(signal.SIGSTOP)
        wait_until(lambda: federation.show(run_id)["round"] == 2, 60, "the close of round 1")
        south.send_signal(signal.SIGCONT)
        shown = federation.wait(run_id, 120)
        return shown, {"rounds": round_seconds(federation), "log": federation.log("south")}


def joins(folder, cohorts):
    """A site that joins while round 2 of 4 is under way."""
    first, second = cohorts
    with Federation(folder) as federation:
        federation.join(first, cohorts[first])
        federation.start(first)
        run_id = submit(federation, rounds=4, training={**STEPS, "local_steps": 150})
        wait_until(lambda: federation.show(run_id)["round"] == 2, 60, "round 2")
        federation.join(second, cohorts[second])
        federation.start(second)
        return federation.wait(run_id, 120), {"rounds": round_seconds(federation)}
