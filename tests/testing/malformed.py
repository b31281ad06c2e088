"""Broken input for every command that reads a file, and for every call: what it must answer is an
error, in time, and never a crash."""

import concurrent.futures
import json
import random
import re

import grpc

from tests.testing import hostile
from tests.testing.federation import ROOT, run

CALLS = [f"{service}/{method}"
         for file in sorted((ROOT / "proto/consilium/v1").glob("*.proto"))
         for service, body in re.findall(r"service (\w+) \{(.*?)\n\}", file.read_text(), re.S)
         for method in re.findall(r"rpc (\w+)\(", body)]


def harm(data, dice):
    """The bytes with something wrong: cut, flipped, repeated, or replaced."""
    data = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(data)) if data else 0
        way = dice.randrange(5)
        if way == 0:
            del data[at:]
        elif way == 1 and data:
            data[at] ^= 1 << dice.randrange(8)
        elif way == 2:
            data[at:at] = dice.randbytes(dice.randint(1, 64))
        elif way == 3:
            data[at:at + 4] = b"\xff\xff\xff\x7f"
        else:
            data[at:at + 16] = data[:16]
    return bytes(data)


def is_proper(done):
    """Whether a command ended by itself, with 0 or 1 and, if 1, with a line that says why."""
    return done.returncode == 0 or (done.returncode == 1 and done.stderr.strip() != "")


def throw_at_commands(folder, samples, how_many, dice):
    """Harmed copies of the samples, {kind: (bytes, command)}; the commands that did not end properly.

    A command is the words around the file's path, which stands in them as "FILE"."""
    folder.mkdir()
    jobs = []
    for kind, (data, command) in samples.items():
        for i in range(how_many):
            path = folder / f"{i}.{kind}"
            path.write_bytes(harm(data, dice))
            jobs.append([path if word == "FILE" else word for word in command])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return [job for job, done in
                zip(jobs, pool.map(lambda job: run(*job, check=False, timeout=60), jobs))
                if not is_proper(done)], len(jobs)


def throw_images(folder, images, how_many, dice):
    """A new folder of harmed images."""
    folder.mkdir()
    for i in range(how_many):
        image = dice.choice(images)
        (folder / f"{i}{image.suffix}").write_bytes(harm(image.read_bytes(), dice))
    return folder


def images_answered(done):
    """How many images predict --json gave a prediction for, or named as left out."""
    predicted = [json.loads(line) for line in done.stdout.splitlines()]
    return len(predicted) + len(re.findall("^left out: ", done.stderr, re.M))


def throw_at_calls(port, home, how_many, seed):
    """Messages of noise to every call, from a member; the answers that are no proper refusal."""
    dice = random.Random(seed)
    strange = []
    count = 0
    with hostile.channel(port, home) as channel:
        for call in CALLS:
            if call in ("BlobService/Upload", "BlobService/Download"):
                continue
            for _ in range(how_many):
                noise = dice.randbytes(dice.choice((0, 1, 7, 100, 5000)))
                count += 1
                try:
                    # A wait is part of what NextTask may be asked for.
                    channel.unary_unary(f"/consilium.v1.{call}")(noise, timeout=2)
                except grpc.RpcError as error:
                    if error.code() in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE):
                        strange.append((call, str(error.details())))
    return strange, count
