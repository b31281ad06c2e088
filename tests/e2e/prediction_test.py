"""A model in use: calibrated on a hospital's own images, explained, exported for other programs."""

import json
import math
import pathlib
import random
import struct
import subprocess
import tempfile
import unittest
import zlib

from support import cohort, small_plan
from tests.testing.federation import run

SIDE = 64
CLASSES = ["covid", "normal", "pneumonia"]


def write_png(path, rows):
    """A grey picture of 8 bits."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
                     + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows)))
                     + chunk(b"IEND", b""))


class Prediction(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls._temporary.name)
        cls.data = cohort(cls.folder, 0, 120)
        plan = small_plan(cls.folder / "plan.yaml", rounds=4, quorum={"count": 1},
                          model={"architecture": "simple_cnn", "input_size": SIDE},
                          training={"local_epochs": 3, "batch_size": 8, "learning_rate": 0.02})
        cls.model = cls.folder / "model.safetensors"
        run("consilium-client", "train", "--plan", plan, "--data", cls.data, "-o", cls.model)
        cls.calibration = cls.folder / "calibration"
        cls.calibrated = run("consilium-client", "calibrate", "--model", cls.model, "--data", cls.data,
                             "-o", cls.calibration)
        dice = random.Random(1)
        cls.strange = cls.folder / "strange"
        cls.strange.mkdir()
        write_png(cls.strange / "noise.png", [[dice.randrange(256) for _ in range(SIDE)]
                                              for _ in range(SIDE)])
        write_png(cls.strange / "stripes.png", [[255 * (x // 4 % 2) for x in range(SIDE)]
                                                for _ in range(SIDE)])

    @classmethod
    def tearDownClass(cls):
        cls._temporary.cleanup()

    def predict(self, *arguments):
        return [json.loads(line) for line in
                run("consilium-client", "predict", "--json", *arguments).stdout.splitlines()]

    def test_calibration_says_what_it_found(self):
        self.assertIn("temperature", self.calibrated.stdout)
        for name in CLASSES:
            self.assertIn(f"{name} is called from", self.calibrated.stdout)

    def test_the_model_abstains_on_what_it_does_not_know(self):
        known = self.predict("--model", self.model, "--calibration", self.calibration,
                             "--draws", 3, self.data / "images")
        self.assertEqual(len(known), 120)
        for line in known:
            self.assertAlmostEqual(sum(line["probabilities"].values()), 1, places=4)
            self.assertLessEqual(set(line["called"]), set(CLASSES))
            self.assertEqual(set(line["spread"]), set(CLASSES))
        self.assertLess(sum(line["abstains"] for line in known), 12)
        strange = self.predict("--model", self.model, "--calibration", self.calibration, self.strange)
        self.assertEqual([line["abstains"] for line in strange], [True, True])
        table = run("consilium-client", "predict", "--model", self.model, "--calibration",
                    self.calibration, self.strange)
        self.assertEqual(table.stdout.count("abstains"), 2)
        self.assertIn("not a medical device", table.stderr)

    def test_calibration_of_another_model_is_refused(self):
        other = self.folder / "other.safetensors"
        run("consilium-client", "model", "init", "--plan", self.folder / "plan.yaml", "-o", other)
        failed = run("consilium-client", "predict", "--model", other, "--calibration",
                     self.calibration, self.strange, check=False)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("of another model", failed.stderr)

    def test_explain_writes_maps_and_compares_them_with_masks(self):
        images = sorted((self.data / "images").iterdir())[:6]
        for method in ("grad-cam", "grad-cam++", "occlusion"):
            maps = self.folder / method
            done = run("consilium-client", "explain", "--model", self.model, "-o", maps, "--method",
                       method, "--masks", self.data / "masks/lungs", "--findings",
                       self.data / "masks/opacities", "--json", *images)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual(len(lines), 6)
            for line in lines:
                overlay = pathlib.Path(line["overlay"])
                self.assertTrue(overlay.read_bytes().startswith(b"\x89PNG"))
                self.assertEqual(overlay.stat().st_mode & 0o777, 0o600)
                self.assertTrue(0 <= line.get("share_in_lungs", 0) <= 1)
            self.assertEqual(len(list(maps.iterdir())), 6)
        text = run("consilium-client", "explain", "--model", self.model, "-o", self.folder / "maps",
                   "--masks", self.data / "masks/lungs", "--class", "covid", *images).stdout
        self.assertIn("images with a mask of the lungs", text)
        failed = run("consilium-client", "explain", "--model", self.model, "-o", self.folder / "maps",
                     "--class", "flu", *images, check=False)
        self.assertIn("no class 'flu'", failed.stderr)

    def test_torchscript_gives_the_same_answers_in_python(self):
        script = self.folder / "model.pt"
        run("consilium-client", "model", "export", self.model, "--to", "torchscript", "-o", script)
        picture = self.strange / "noise.png"
        code = f"""
import json, sys, torch, zlib
raw = open({str(picture)!r}, 'rb').read()
at = raw.index(b'IDAT')
rows = zlib.decompress(raw[at + 4:at + 4 + int.from_bytes(raw[at - 4:at], 'big')])
pixels = torch.tensor(list(rows), dtype=torch.float32).view({SIDE}, {SIDE + 1})[:, 1:] / 255
extra = {{'consilium.json': ''}}
module = torch.jit.load({str(script)!r}, _extra_files=extra)
how = json.loads(extra['consilium.json'])
scores = module(((pixels - how['mean']) / how['stddev']).view(1, 1, {SIDE}, {SIDE}))
print(json.dumps(dict(zip(how['classes'], scores.softmax(1)[0].tolist()))))
"""
        answer = json.loads(subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True,
                                           text=True, check=True).stdout)
        own = self.predict("--model", self.model, picture)[0]["probabilities"]
        for name in CLASSES:
            self.assertAlmostEqual(answer[name], own[name], places=4)

    def test_safetensors_have_their_names_and_say_how_pictures_go_in(self):
        exported = self.folder / "plain.safetensors"
        run("consilium-client", "model", "export", self.model, "--to", "safetensors", "-o", exported)
        data = exported.read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + size])
        how = json.loads(header.pop("__metadata__")["consilium"])
        self.assertEqual(how["classes"], CLASSES)
        tensors = json.loads(run("consilium-client", "model", "info", self.model,
                                 "--json").stdout)["tensors"]
        self.assertEqual({t["name"]: t["shape"] for t in tensors},
                         {name: one["shape"] for name, one in header.items()})
        for one in header.values():
            begin, end = one["data_offsets"]
            self.assertEqual(end - begin, 4 * math.prod(one["shape"]))
        self.assertEqual(len(data), 8 + size + max(one["data_offsets"][1] for one in header.values()))


if __name__ == "__main__":
    unittest.main()
