"""A hospital's PACS: a real Orthanc and DCMTK's own tools send images, and get reports back."""

import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
import unittest

from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import CohortTest, calibrated_model, dicom  # noqa: E402
from tests.testing.federation import BIN, free_port, run, wait_until  # noqa: E402
from tests.testing.orthanc import Orthanc  # noqa: E402

STUDY = "1.2.826.0.1.3680043.8.498.1"


def study_image(folder, picture, number):
    """An image of the study as a DICOM file; its instance's UID."""
    uid = f"{STUDY}.{number}"
    return uid, dicom(folder, picture, uid, PatientID="P-17", PatientName="Doe^Jane", StudyInstanceUID=STUDY,
                      SeriesInstanceUID=f"{STUDY}.0", SOPInstanceUID=uid)


def harmed(path):
    """A DICOM file whose pixels are no picture."""
    data = path.read_bytes()
    at = data.index(b"\xff\xd8\xff")
    copy = path.with_name("harmed.dcm")
    copy.write_bytes(data[:at] + bytes(len(data) - at - 16) + data[-16:])
    return copy


class FhirServer:
    """Takes Bundles, until the end of the block; at first it is busy so many times."""

    def __init__(self, busy=0):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if server.busy > 0:
                    server.busy -= 1
                    self.send_response(503)
                else:
                    server.taken.append((self.path, body))
                    self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.busy, self.taken = busy, []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


@unittest.skipUnless(shutil.which("storescu"), "no DCMTK tools here")
class PacsTest(CohortTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model, cls.calibration = calibrated_model(cls.folder, cls.cohorts[0], rounds=3)
        cls.pictures = [path for path in sorted(cls.cohorts[0].rglob("*.png")) if "masks" not in path.parts]

    def start(self, *options, results_port=None):
        self.out = self.folder / self.id()
        self.port = free_port()
        if results_port:
            options = ["--results-to", f"ORTHANC@127.0.0.1:{results_port}", *options]
        self.log = open(self.folder / f"{self.id()}.log", "w")
        self.addCleanup(self.log.close)
        self.process = subprocess.Popen(
            [BIN / "consilium-client", "pacs", "--model", self.model, "--calibration", self.calibration, "-o", self.out,
             "--port", str(self.port), "--sender", "ORTHANC", "--sender", "MODALITY", "--threads", "1", *options],
            stderr=self.log)
        self.addCleanup(self.stop)
        wait_until(lambda: self.echo("MODALITY") == 0, timeout=60, what="the receiver")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.assertEqual(self.process.wait(60), 0)

    def echo(self, title, called="CONSILIUM"):
        return subprocess.run(["echoscu", "-aet", title, "-aec", called, "127.0.0.1", str(self.port)],
                              capture_output=True).returncode

    def store(self, *files, title="MODALITY", port=None):
        return subprocess.run(["storescu", "-xy", "-aet", title, "-aec", "CONSILIUM", "127.0.0.1",
                               str(port or self.port), *files], capture_output=True).returncode

    def result(self, name):
        path = self.out / "results" / name
        wait_until(path.exists, timeout=60, what=name)
        return path

    def test_image_is_read_on_arrival(self):
        self.start()
        uid, image = study_image(self.folder, self.pictures[0], 1)
        self.assertEqual(self.store(image), 0)
        fhir = json.loads(self.result(f"{uid}.fhir.json").read_text())
        told = json.loads(self.result(f"{uid}.json").read_text())
        predicted = json.loads(run("consilium-client", "predict", "--model", self.model, "--calibration",
                                   self.calibration, "--threads", 1, "--json", image).stdout)
        self.assertEqual(told["probabilities"], predicted["probabilities"])

        report = subprocess.run(["dsrdump", "+Pl", self.out / "results" / f"{uid}.sr.dcm"], capture_output=True, text=True,
                                check=True).stdout
        self.assertIn("Enhanced SR Document", report)
        self.assertIn("UNVERIFIED", report)
        self.assertIn("Doe^Jane", report)
        for name, probability in told["probabilities"].items():
            self.assertRegex(report, rf'Probability of {name}(, called)?"\)="{probability:.4f}"')
        self.assertIn("not a medical device", report)
        capture = subprocess.run(["dcmdump", self.out / "results" / f"{uid}.sc.dcm"], capture_output=True, text=True,
                                 check=True).stdout
        self.assertIn(f"[{STUDY}]", capture)
        self.assertIn("[P-17]", capture)
        self.assertIn("=SecondaryCaptureImageStorage", capture)
        Image.open(self.out / "results" / f"{uid}.overlay.png").verify()

        resources = {entry["resource"]["resourceType"]: entry["resource"] for entry in fhir["entry"]}
        self.assertEqual(set(resources), {"Device", "Observation", "DiagnosticReport"})
        diagnostic = resources["DiagnosticReport"]
        self.assertEqual(diagnostic["status"], "preliminary")
        self.assertEqual(diagnostic["subject"]["identifier"]["value"], "P-17")
        self.assertEqual(diagnostic["imagingStudy"][0]["identifier"]["value"], f"urn:oid:{STUDY}")
        urls = {entry["fullUrl"] for entry in fhir["entry"]}
        self.assertTrue({result["reference"] for result in diagnostic["result"]} <= urls)
        wait_until(lambda: not list((self.out / "incoming").iterdir()), timeout=30, what="the image goes")
        for path in (self.out / "results").iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)

    def test_strangers_and_wrong_titles_are_refused(self):
        self.start()
        self.assertNotEqual(self.echo("STRANGER"), 0)
        self.assertNotEqual(self.echo("MODALITY", called="OTHER"), 0)
        _, image = study_image(self.folder, self.pictures[1], 2)
        self.assertNotEqual(self.store(image, title="STRANGER"), 0)
        self.assertEqual(list((self.out / "incoming").iterdir()), [])

    def test_what_cannot_be_read_is_put_aside(self):
        self.start()
        uid, image = study_image(self.folder, self.pictures[2], 3)
        self.assertEqual(self.store(harmed(image)), 0)
        reason = self.out / "failed" / f"{uid}.txt"
        wait_until(reason.exists, timeout=60, what="the reason")
        self.assertTrue(reason.read_text().strip())
        # One whose UID no report can refer to: a part of it begins with 0.
        uid, image = study_image(self.folder, self.pictures[2], "007")
        self.assertEqual(self.store(image), 0)
        reason = self.out / "failed" / f"{uid}.txt"
        wait_until(reason.exists, timeout=60, what="the reason")
        self.assertEqual(list((self.out / "results").glob(f"{uid}.*")), [])
        good, image = study_image(self.folder, self.pictures[3], 4)
        self.assertEqual(self.store(image), 0)
        self.result(f"{good}.fhir.json")

    def test_associations_that_break_off_leave_nothing(self):
        self.start()
        for nonsense in (b"", b"\x01\x00\x00\x00\x00\xff", b"GET / HTTP/1.1\r\n\r\n", bytes(4096), b"\xff" * 100_000):
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as peer:
                try:
                    peer.sendall(nonsense)
                except OSError:
                    pass  # it has heard enough
        uid, image = study_image(self.folder, self.pictures[4], 5)
        for allowed in (1_000, 3_000, 6_000):  # in the middle of the image
            with socket.create_server(("127.0.0.1", 0)) as server:
                sender = subprocess.Popen(
                    ["storescu", "-xy", "-aet", "MODALITY", "-aec", "CONSILIUM", "127.0.0.1",
                     str(server.getsockname()[1]), image], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                self.relay(server, allowed)
                self.assertNotEqual(sender.wait(60), 0)
        wait_until(lambda: not list((self.out / "incoming").iterdir()), timeout=60, what="nothing is left")
        self.assertFalse((self.out / "results" / f"{uid}.json").exists())
        self.assertEqual(self.store(image), 0)
        self.result(f"{uid}.fhir.json")

    def relay(self, server, allowed):
        """Carries so many bytes from the sender to the receiver, and what comes back, and hangs up."""
        theirs, _ = server.accept()
        with theirs, socket.create_connection(("127.0.0.1", self.port)) as ours:
            theirs.settimeout(0.05)
            ours.settimeout(0.05)
            while allowed > 0:
                for come, go in ((theirs, ours), (ours, theirs)):
                    try:
                        data = come.recv(min(512, allowed) if come is theirs else 4096)
                    except TimeoutError:
                        continue
                    go.sendall(data)
                    if come is theirs:
                        allowed -= max(1, len(data))

    @unittest.skipUnless(Orthanc.PROGRAM, "no Orthanc here")
    def test_orthanc_sends_an_image_and_gets_its_report(self):
        port = free_port()
        self.start(results_port=port)
        uid, image = study_image(self.folder, self.pictures[5], 6)
        # The PACS is away at first: results wait for it.
        self.assertEqual(self.store(image), 0)
        self.result(f"{uid}.unsent")
        time.sleep(1)
        with Orthanc(self.folder / "orthanc", port, self.port) as orthanc:
            wait_until(lambda: len(orthanc.call("/instances")) == 2, timeout=60, what="the report and the overlay")
            second, image = study_image(self.folder, self.pictures[6], 7)
            instance = orthanc.call("/instances", image.read_bytes())["ID"]
            orthanc.call("/modalities/consilium/store", instance.encode())
            self.result(f"{second}.fhir.json")
            wait_until(lambda: len(orthanc.call("/instances")) == 5, timeout=60, what="the second report")
            studies = orthanc.call("/studies")
            self.assertEqual(len(studies), 1)  # all of them in the image's study
            modalities = {orthanc.call(f"/series/{series}")["MainDicomTags"].get("Modality")
                          for series in orthanc.call("/series")}
            self.assertTrue({"SR", "OT"} <= modalities, modalities)

    @unittest.skipUnless(Orthanc.PROGRAM, "no Orthanc here")
    def test_studies_are_fetched_from_orthanc(self):
        port = free_port()
        fetched = self.folder / "fetched"

        def fetch(*options, check=True):
            done = run("consilium-client", "fetch", "--from", f"ORTHANC@127.0.0.1:{port}", "-o", fetched, *options,
                       check=check)
            return [json.loads(line) for line in done.stdout.splitlines()] if check else done
        with Orthanc(self.folder / "archive", port, free_port()) as orthanc:
            for number, date, patient in ((1, "20260301", "P-1"), (2, "20260315", "P-2"), (3, "20260401", "P-1")):
                orthanc.call("/instances", dicom(
                    self.folder, self.pictures[number], f"archived-{number}", PatientID=patient, StudyDate=date,
                    Modality="DX", StudyInstanceUID=f"{STUDY}.9.{number}", SeriesInstanceUID=f"{STUDY}.9.{number}.1",
                    SOPInstanceUID=f"{STUDY}.9.{number}.1.1").read_bytes())
            march = fetch("--date", "20260301-20260331")
            self.assertEqual({study["study"]: study["images"] for study in march},
                             {f"{STUDY}.9.1": 1, f"{STUDY}.9.2": 1})
            self.assertEqual({path.name for path in fetched.iterdir()},
                             {f"{STUDY}.9.1.1.1.dcm", f"{STUDY}.9.2.1.1.dcm"})
            self.assertEqual(len(fetch("--patient", "P-1")), 2)
            self.assertEqual(fetch("--patient", "nobody"), [])
            self.assertEqual(fetch("--modality", "CT"), [])
            everything = fetch(check=False)
            self.assertIn("not all that the PACS has", everything.stderr)
            predicted = run("consilium-client", "predict", "--model", self.model, "--json", fetched).stdout
            self.assertEqual(len(predicted.splitlines()), 3)
        done = fetch("--modality", "DX", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ORTHANC", done.stderr)

    def test_results_are_posted_to_a_fhir_server(self):
        for wrong in ("ftp://a/", "http://fhir.example/R4", "http://127.0.0.1 /"):
            done = run("consilium-client", "pacs", "--model", self.model, "-o", self.folder / "none", "--sender", "A",
                       "--fhir-to", wrong, check=False)
            self.assertEqual(done.returncode, 1, wrong)
        with FhirServer(busy=1) as server:
            self.start("--fhir-to", f"http://127.0.0.1:{server.port}/R4")
            uid, image = study_image(self.folder, self.pictures[7], 8)
            self.assertEqual(self.store(image), 0)
            mark = self.result(f"{uid}.unposted")
            wait_until(lambda: not mark.exists(), timeout=60, what="the result is posted")
            self.assertEqual([path for path, _ in server.taken], ["/R4"])
            bundle = json.loads(server.taken[0][1])
            self.assertEqual(bundle, json.loads(self.result(f"{uid}.fhir.json").read_text()))
            self.assertEqual(bundle["type"], "transaction")
            for entry in bundle["entry"]:
                self.assertEqual(entry["request"]["url"], entry["resource"]["resourceType"])
                self.assertTrue(entry["request"]["ifNoneExist"].endswith(entry["fullUrl"]))


if __name__ == "__main__":
    unittest.main()
