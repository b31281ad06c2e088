"""Pictures that come to the DICOM receiver: real ones by way of a PACS, and harmed ones."""

import csv
import json
import pathlib
import random
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import dicom  # noqa: E402
from tests.testing.federation import BIN, free_port, run, wait_until  # noqa: E402
from tests.testing.orthanc import Orthanc  # noqa: E402

UID = "1.2.826.0.1.3680043.8.498"


class Receiver:
    """consilium-client pacs, until the end of the block."""

    def __init__(self, intake, model):
        self.intake, self.port = intake, free_port()
        self._process = subprocess.Popen(
            [BIN / "consilium-client", "pacs", "--model", model, "-o", intake, "--port", str(self.port), "--sender",
             "ORTHANC"], stderr=subprocess.DEVNULL)

    def answers(self):
        return self._call("echoscu")

    def store(self, path):
        """Whether the image was sent, and taken."""
        return self._call("storescu", "-xy", files=[path])

    def names(self, pattern):
        """Of files that are there, without what the pattern adds to them."""
        folder, ending = pattern.split("/*")
        return {path.name.removesuffix(ending) for path in (self.intake / folder).glob(f"*{ending}")}

    def _call(self, tool, *options, files=()):
        return subprocess.run([tool, *options, "-aet", "ORTHANC", "-aec", "CONSILIUM", "127.0.0.1", str(self.port), *files],
                              capture_output=True).returncode == 0

    def __enter__(self):
        wait_until(self.answers, what="the receiver")
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(60)


def measure_pacs(results, folder, model, site, how_many=20):
    """Real pictures by way of a real Orthanc: what is said of them is what predict says of the same files."""
    _, root, validation = site
    with open(validation, newline="") as lines:
        paths = [root / row["path"] for row in csv.DictReader(lines)][:how_many]
    archive, intake = folder / "archive", folder / "intake"
    archive.mkdir()
    files = {}
    for i, path in enumerate(paths):
        uid = f"{UID}.2.{i}"
        files[uid] = dicom(archive, path, uid, PatientID=f"P-{i}", StudyInstanceUID=f"{uid}.1", SOPInstanceUID=uid)
    with Receiver(intake, model) as receiver, Orthanc(folder / "orthanc", free_port(), receiver.port) as orthanc:
        for file in files.values():
            instance = orthanc.call("/instances", file.read_bytes())["ID"]
            orthanc.call("/modalities/consilium/store", instance.encode())
        wait_until(lambda: receiver.names("results/*.fhir.json") == set(files), 120, "the results")
    told = [json.loads(line) for line in
            run("consilium-client", "predict", "--model", model, "--json", *files.values()).stdout.splitlines()]
    # predict has eight pictures in the network at a time, which rounds otherwise.
    most = 0
    for uid, one in zip(files, told):
        by_pacs = json.loads((intake / f"results/{uid}.json").read_text())
        most = max([most] + [abs(by_pacs["probabilities"][name] - p) for name, p in one["probabilities"].items()])
    results.figures["pacs"] = {"images": len(files), "greatest_difference": most}
    print(f"{len(files)} real pictures through Orthanc: probabilities differ from predict's by {most:.1g} at most")
    results.target("greatest difference of an answer by way of Orthanc", most, 1e-5)


def overwrite(pixels, dice):
    """Pieces of them; what is round them stays, or no tool would send it."""
    pixels = bytearray(pixels)
    for _ in range(dice.randint(1, 6)):
        size = dice.randint(1, 40)
        at = dice.randrange(len(pixels) - size - 16)
        pixels[at:at + size] = dice.randbytes(size)
    return bytes(pixels)


def measure_harmed_intake(results, folder, model, picture, how_many):
    """Images with harmed pixels: each one that is taken is answered with a result, or put aside with the reason."""
    dice = random.Random(7)
    uid = f"{UID}.3.1000"
    whole = dicom(folder, picture, "whole", StudyInstanceUID=f"{UID}.3", SOPInstanceUID=uid).read_bytes()
    pixels = whole.index(b"\xff\xd8\xff")  # of the JPEG in it
    with Receiver(folder / "harmed-intake", model) as receiver:
        taken = set()
        for i in range(how_many):
            name = uid[:-4] + str(1000 + i)
            path = folder / "harmed.dcm"
            path.write_bytes(whole[:pixels].replace(uid.encode(), name.encode()) + overwrite(whole[pixels:], dice))
            if receiver.store(path):
                taken.add(name)

        def unanswered():
            return taken - receiver.names("results/*.fhir.json") - receiver.names("failed/*.txt")
        try:
            wait_until(lambda: not unanswered(), 300, "an answer for each")
        except TimeoutError:
            pass  # they are counted
        put_aside = len(receiver.names("failed/*.txt"))
        results.figures["harmed_intake"] = {"files": how_many, "taken": len(taken), "put_aside": put_aside}
        print(f"{how_many} harmed DICOM images sent: {len(taken)} taken, of them {put_aside} put aside with a reason")
        results.target("harmed files: taken by the receiver, share", len(taken) / how_many, 0.5, at_least=True)
        results.target("harmed files: taken by the receiver, without an answer", len(unanswered()), 0)
        results.target("harmed files: the receiver lives", float(receiver.answers()), 1, at_least=True)
