"""A long run of many rounds with hospitals that die, come back and join, and what it costs over time."""

import json
import pathlib
import signal
import statistics
import time

from tests.testing.federation import Federation, run, wait_until, write_plan
from tests.testing.processes import open_files, resident

TRAIL = "audit.jsonl"
STEADY = "site-0"  # it is never killed, so that its memory can be followed


def slope(samples, figure):
    """By how much a figure grows a round: the median of the slopes between every two samples of the second
    half (Theil and Sen; Sen, JASA 1968). What a process holds, or has given back, for a moment comes and
    goes between two samples, and is no growth; least squares would lean on such samples most."""
    half = samples[len(samples) // 2:]
    slopes = [(b[figure] - a[figure]) / (b["round"] - a["round"])
              for i, a in enumerate(half) for b in half[i + 1:]]
    return statistics.median(slopes) if slopes else 0.0


class Soak:
    """A federation of some sites, two of which join on the way; the coordinator dies three times in the
    run's first third, hospitals all the time."""

    def __init__(self, folder, cohorts, rounds, dice):
        self.federation = Federation(folder)
        self.cohorts, self.rounds, self.dice = cohorts, rounds, dice
        self.samples = []
        self.kills = {"coordinator": 0, "hospital": 0}

    def run(self):
        """The run's JSON at its end; raises where anything is left over."""
        sites = sorted(self.cohorts)
        late = sites[-2:]
        with self.federation as federation:
            for site in sites[:-2]:
                self._join(site)
            run_id = federation.submit(write_plan(
                federation.folder / "plan.yaml", name="soak", rounds=self.rounds,
                quorum={"count": 3}, round_deadline_seconds=60, round_attempts=5,
                model={"architecture": "simple_cnn", "input_size": 32},
                training={"local_steps": 1, "batch_size": 4, "learning_rate": 0.001}))
            deaths = [self.rounds // 9, self.rounds // 6, self.rounds // 4]
            joins = [self.rounds // 8, self.rounds // 5]
            sampled = 0
            while True:
                summary = self._summary(run_id)
                if summary["status"] in ("COMPLETED", "DEGRADED", "FAILED", "PAUSED"):
                    break
                at = summary["round"]
                if deaths and at >= deaths[0]:
                    deaths.pop(0)
                    federation.stop("coordinator", signal.SIGKILL)
                    (federation.folder / "coordinator.log").write_text("")
                    federation.serve()
                    self.kills["coordinator"] += 1
                elif joins and at >= joins[0]:
                    joins.pop(0)
                    self._join(late.pop(0))
                elif self.dice.random() < 0.3:
                    self._kill_hospital()
                if at - sampled >= max(1, self.rounds // 100):
                    sampled = at
                    self._sample(run_id, at)
                time.sleep(0.5)
            self._look_for_orphans(run_id)
            federation.stop("coordinator")
            run("consilium-server", "check", "--dir", federation.server_dir)
            return summary

    def _join(self, site):
        self.federation.join(site, self.cohorts[site])
        self.federation.start(site)

    def _summary(self, run_id):
        runs = json.loads(self.federation.ctl("--json", "run", "list").stdout)
        return next(one for one in runs if one["run"] == run_id)

    def _kill_hospital(self):
        alive = [s for s in self.federation.processes if s not in ("coordinator", STEADY)]
        site = self.dice.choice(alive)
        self.federation.stop(site, signal.SIGKILL)
        self.federation.start(site)
        self.kills["hospital"] += 1

    def _models(self, run_id):
        listed = json.loads(self.federation.ctl("--json", "model", "list", run_id).stdout)
        return {model["digest"]: model["bytes"] for model in listed}

    def _sample(self, run_id, at):
        coordinator = self.federation.processes["coordinator"]
        steady = self.federation.processes[STEADY]
        home = self.federation.home(STEADY)
        models = self._models(run_id)
        files = [p for p in self.federation.server_dir.rglob("*") if p.is_file()]
        used = sum(p.stat().st_size for p in files
                   if p.name not in (*models, TRAIL) and p.parent.name not in ("incoming", "blobs"))
        self.samples.append({
            "round": at, "coordinator_bytes": resident(coordinator.pid),
            "coordinator_files": open_files(coordinator.pid), "hospital_bytes": resident(steady.pid),
            "hospital_files": open_files(steady.pid), "database_bytes": used,
            # Of the task in hand there is a file or two at a time, replaced with each task.
            "hospital_disk_bytes": sum(
                p.stat().st_size for p in home.rglob("*")
                if p.is_file() and p.parent.name != "work" and p.name != TRAIL),
            # What was done is never forgotten: so much of it comes with a round.
            "coordinator_trail_bytes": (self.federation.server_dir / TRAIL).stat().st_size,
            "hospital_trail_bytes": (home / TRAIL).stat().st_size,
            "hospital_work_files": len(list(home.glob("work/*")))})

    def _look_for_orphans(self, run_id):
        """What is left once the run is over: its global models."""
        wanted = set(self._models(run_id))

        def is_clean():
            folder = self.federation.server_dir
            return (not list((folder / "incoming").iterdir())
                    and {p.name for p in (folder / "blobs").iterdir()} == wanted)
        wait_until(is_clean, 30, "a store with the global models and nothing else")
