"""Runs over bad networks: a hospital whose calls pass through a proxy that holds, cuts or slows them.

Each scenario runs a copy of a prepared federation and gives its figures; its models must be the
undisturbed run's. Scenarios may run at once.
"""

import os
import re
import signal
import subprocess
import sys
import time

from tests.testing import crash
from tests.testing.federation import Federation, wait_until, write_plan
from tests.testing.tcp_proxy import TcpProxy

SITE = "north"  # whose network is bad
NAMESPACE = "CONSILIUM_TEST_NAMESPACE"
KEEPALIVE = 50  # seconds after which either end drops a connection on which nothing comes back
CHUNK = 1 << 20
IN_FIRST_DOWNLOAD = 1 << 20  # bytes: the small model has about twice as many
# A plan's fields for a model of 45 MB, so that a transfer has many chunks.
LARGE = {"model": {"architecture": "resnet18", "input_size": 32},
         "training": {"local_steps": 1, "batch_size": 8, "learning_rate": 0.01}}
# The same, with time to learn from reports of progress how long the line is.
SLOW = {**LARGE, "round_deadline_seconds": 240,
        "training": {"local_steps": 160, "batch_size": 8, "learning_rate": 0.01}}


def enter_namespace():
    """Starts this program again in a network and a mount namespace of its own, where the machine allows
    that; whether it is in one."""
    if NAMESPACE in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return True
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode != 0:
        return False
    os.environ[NAMESPACE] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])


def prepare(folder, cohorts, **plan):
    return crash.Prepared(folder, cohorts, **{
        "name": "networks", "rounds": 1, "quorum": {"fraction": 1.0}, "round_deadline_seconds": 86400,
        "model": {"architecture": "simple_cnn", "input_size": 32},
        "training": {"local_steps": 30, "batch_size": 8, "learning_rate": 0.01}, **plan})


def run_through(prepared, folder, disturb=lambda trial, proxy: None, **bad):
    """A run in which the site's calls pass through a proxy; its models, and figures."""
    with crash.Trial(folder, prepared) as trial:
        trial.move()
        with TcpProxy(trial.port, **bad) as proxy:
            trial.route(trial.home(SITE), proxy.port)
            begin = time.monotonic()
            trial.start_all()
            disturb(trial, proxy)
            models = crash.finish(trial, timeout=400)
            uploads = re.findall(r"sent (\d+) bytes", trial.log(SITE))
            return models, {"seconds": time.monotonic() - begin, "sent": proxy.sent,
                            "received": proxy.received, "cuts": proxy.cuts,
                            "connections": proxy.connections,
                            "uploads": sum(map(int, uploads)), "log": trial.log(SITE)}


def wait_for_bytes(proxy, way, count):
    """Until so many bytes have passed that way. What passes is seen by the proxy itself: on a busy
    machine a short task is over before somebody who asks the coordinator hears of it."""
    wait_until(lambda: getattr(proxy, way) >= count, 200, f"{count} bytes {way}")


def partition(prepared, folder):
    def disturb(_, proxy):
        wait_for_bytes(proxy, "received", IN_FIRST_DOWNLOAD)
        with proxy.partition():
            time.sleep(KEEPALIVE + 10)
    return run_through(prepared, folder, disturb)


def half_open(prepared, folder):
    def disturb(_, proxy):
        wait_for_bytes(proxy, "received", IN_FIRST_DOWNLOAD)
        proxy.strand()
    return run_through(prepared, folder, disturb)


def delay(prepared, folder):
    return run_through(prepared, folder, delay=0.2)


def long_line(prepared, folder):
    return run_through(prepared, folder, delay=0.05)


def slow_line(prepared, folder):
    return run_through(prepared, folder, rate=1e6 / 8)


def loss(prepared, folder):
    """One packet in a hundred is lost, both ways. Only in a namespace."""
    def nft(*words):
        subprocess.run(["nft", *words], check=True)

    def set_packets(size, segments):
        subprocess.run(["ip", "link", "set", "lo", "mtu", str(size), "gso_max_size", str(size),
                        "gso_max_segs", str(segments)], check=True)

    def disturb(_, proxy):
        nft("add", "table", "ip", "bad")
        nft("add", "chain", "ip", "bad", "input", "{ type filter hook input priority 0; }")
        for end in ("dport", "sport"):
            nft("add", "rule", "ip", "bad", "input", "tcp", end, str(proxy.port), "numgen", "random",
                "mod", "100", "<", "1", "counter", "drop")
    set_packets(1500, 1)  # as on a line; the loopback's are so large that few are sent
    models, figures = run_through(prepared, folder, disturb)
    set_packets(65536, 65535)
    rules = subprocess.run(["nft", "list", "table", "ip", "bad"], check=True, capture_output=True,
                           text=True).stdout
    figures["dropped"] = sum(map(int, re.findall(r"counter packets (\d+)", rules)))
    return models, figures


def cut_uploads(prepared, folder, size):
    """The connection ends at every tenth of an upload of that size."""
    return run_through(prepared, folder, cut_every=size // 10, cuts=10)


def cut_downloads(prepared, folder, size):
    return run_through(prepared, folder, cut_every=size // 10, cuts=10, cut_way="received")


def restarted(prepared, folder, way, at):
    """The hospital dies where so many bytes have passed that way, and is started again."""
    def disturb(trial, proxy):
        wait_for_bytes(proxy, way, at)
        trial.stop(SITE, signal.SIGKILL)
        proxy.cuts += 1
        trial.start(SITE)
    return run_through(prepared, folder, disturb, rate=6e6)


def other_port(prepared, folder):
    """The coordinator dies and comes back on another port of the address that hospitals call."""
    def disturb(trial, proxy):
        wait_for_bytes(proxy, "received", IN_FIRST_DOWNLOAD)
        trial.processes["coordinator"].kill()
        trial.stop("coordinator")
        trial.move()
        trial.route(trial.home(SITE), proxy.port)
        proxy.target = ("127.0.0.1", trial.port)
        trial.serve()
        south = next(site for site in trial.sites if site != SITE)
        trial.stop(south)  # it has no proxy before it: its settings must change
        trial.start(south)
    return run_through(prepared, folder, disturb)


def other_address(folder, cohorts):
    """The name that hospitals call comes to mean another address. Only in a namespace."""
    hosts = folder / "hosts"

    def point_to(address):
        hosts.write_text(f"{address} coordinator.test\n")

    folder.mkdir()
    point_to("127.0.0.1")
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    with Federation(folder / "federation", host="coordinator.test") as federation:
        for site, data in cohorts.items():
            federation.join(site, data)
            federation.start(site)
        plan = write_plan(folder / "plan.yaml", name="networks", rounds=2, quorum={"fraction": 1.0},
                          round_deadline_seconds=600,
                          model={"architecture": "simple_cnn", "input_size": 32},
                          training={"local_steps": 160, "batch_size": 8, "learning_rate": 0.01})
        run_id = federation.submit(plan)
        wait_until(lambda: federation.show(run_id)["round"] == 1, what="the first round")
        federation.stop("coordinator")
        federation.address = "127.0.0.2"
        point_to(federation.address)
        federation.serve()
        return federation.wait(run_id, 120)


def sent_twice(figures):
    """Chunks that were sent more than once, a cut: all that left but the uploads, so the calls too."""
    return (figures["sent"] - figures["uploads"]) / figures["cuts"] / CHUNK


def fetched_twice(figures, size):
    """The same of downloads: a run of one round fetches two models."""
    return (figures["received"] - 2 * size) / figures["cuts"] / CHUNK


def undisturbed(prepared, folder):
    """The undisturbed run's models, and the size of one of them."""
    with crash.Trial(folder, prepared) as trial:
        trial.move()
        trial.start_all()
        models = crash.finish(trial)
        return models, (trial.server_dir / "blobs" / models[-1][1]).stat().st_size
