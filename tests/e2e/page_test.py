"""The page, in a real Chromium: what a radiologist sees, and what a hostile file does."""

import json
import os
import pathlib
import re
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.e2e.support import CohortTest, calibrated_model, dicom, small_plan  # noqa: E402
from tests.testing.federation import Federation, run  # noqa: E402
from tests.testing.served import Served  # noqa: E402

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait
except ImportError:
    webdriver = None

PATIENCE = 60  # seconds, for a machine that does something else beside it


def browser(width=1280, height=1000, language="en"):
    options = webdriver.ChromeOptions()
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                     "--disable-background-networking", "--no-first-run", f"--window-size={width},{height}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


@unittest.skipUnless(webdriver and os.path.exists("/usr/bin/chromedriver"), "no Chromium here")
class PageTest(CohortTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = cls.cohorts[0]
        cls.model, cls.calibration = calibrated_model(cls.folder, cls.data, rounds=6)
        cls.server = Served("--model", cls.model, "--calibration", cls.calibration, "--threads", 1)
        cls.address, cls.root, cls.token = cls.server.address, cls.server.root, cls.server.token
        cls.images = sorted(cls.data.rglob("*.png"))
        cls.images = [image for image in cls.images if "masks" not in image.parts][:3]
        cls.shots = pathlib.Path(os.environ.get("CONSILIUM_SCREENSHOTS", cls.folder / "screenshots"))
        cls.shots.mkdir(parents=True, exist_ok=True)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def open(self, width=1280, height=1000, address=None, language="en"):
        self.driver = browser(width, height, language)
        self.addCleanup(self.driver.quit)
        self.driver.get(address or self.address)

    def by(self, name):
        return self.driver.find_element(By.ID, name)

    def wait(self, condition, what):
        WebDriverWait(self.driver, PATIENCE).until(lambda _: condition(), what)

    def upload(self, *paths):
        self.wait(lambda: self.by("desk").is_displayed(), "the desk")
        self.by("files").send_keys("\n".join(map(str, paths)))

    def read(self, *paths):
        self.upload(*paths)
        self.wait(lambda: self.by("status").text == f"{len(paths)} read.", "the pictures were read")
        self.wait(lambda: self.map_is_there(), "the map")

    def map_is_there(self):
        return self.driver.execute_script(
            "const c = document.getElementById('map');"
            "return c.width > 1 && c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)")

    def grey_at_the_centre(self):
        return self.driver.execute_script(
            "const c = document.getElementById('picture');"
            "return c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[0]")

    def assert_quiet(self, root=None):
        """No error in the console, and nobody else was asked for anything."""
        errors = [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        self.assertEqual(errors, [])
        asked = [entry["message"] for entry in self.driver.get_log("performance")
                 if '"Network.requestWillBeSent"' in entry["message"]]
        self.assertTrue(asked)
        for message in asked:
            url = re.search(r'"url":"([^"]+)"', message)[1]
            self.assertTrue(url.startswith((root or self.root, "blob:", "data:")), url)

    def test_reading(self):
        self.open()
        self.read(*self.images)
        self.assertNotIn("token", self.driver.current_url)
        rows = self.driver.find_elements(By.CSS_SELECTOR, "#list-rows tr")
        self.assertEqual(len(rows), 3)
        covid = [float(row.find_elements(By.TAG_NAME, "td")[2].text.rstrip("%")) for row in rows]
        self.assertEqual(covid, sorted(covid, reverse=True))
        # What the page says is what predict says.
        last = self.images[-1]
        lines = run("consilium-client", "predict", "--model", self.model, "--calibration",
                    self.calibration, "--threads", 1, "--json", last).stdout
        told = re.search(r'"prediction":"(\w+)"', lines)[1]
        self.assertIn(told, self.by("verdict").text)
        self.assertEqual(len(self.driver.find_elements(By.CSS_SELECTOR, "#classes tr")), 3)
        self.assertIn("±", self.by("operating").text)
        self.wait(lambda: len(self.driver.find_elements(By.CSS_SELECTOR, "#similar-list img")) == 3, "similar")

        before = self.grey_at_the_centre()
        self.by("invert").click()
        self.assertEqual(self.grey_at_the_centre(), 255 - before)
        self.by("reset").click()
        self.assertEqual(self.grey_at_the_centre(), before)
        self.driver.execute_script(
            "const w = document.getElementById('overlay'); w.value = 0; w.dispatchEvent(new Event('input'))")
        self.assertEqual(self.by("map").value_of_css_property("opacity"), "0")
        self.by("reset").click()
        Select(self.by("method")).select_by_visible_text("grad-cam++")
        self.wait(self.map_is_there, "another map")
        self.assertIn("Research use only", self.by("card-limits").text)
        self.driver.save_screenshot(str(self.shots / "desk.png"))
        self.assert_quiet()

    def test_extent_and_the_course_of_a_patient(self):
        """With a model that labels pixels (untrained: what it says means nothing)."""
        plan = small_plan(self.folder / "unet.yaml", training={"class_weights": "none"}, model={
            "architecture": "unet", "input_size": 32, "classes": ["elsewhere", "lung", "opacity"]})
        unet = self.folder / "unet.safetensors"
        run("consilium-client", "model", "init", "--plan", plan, "-o", unet)
        studies = [dicom(self.folder, picture, i, PatientID="P-17", StudyDate=f"2020030{i}")
                   for i, picture in ((2, self.images[0]), (1, self.images[1]))]
        stranger = dicom(self.folder, self.images[2], 3, PatientID="P-18", StudyDate="20200302")
        with Served("--model", self.model, "--extent-model", unet, "--threads", 1) as server:
            self.open(address=server.address)
            self.read(*studies, stranger)
            self.assertFalse(self.by("course").is_displayed())  # of the stranger there is one alone
            self.assertEqual(len(self.driver.find_elements(By.CSS_SELECTOR, "#lungs tr")), 2)
            self.assertIn("Geographic extent", self.by("score").text)
            Select(self.by("order")).select_by_value("extent")
            rows = self.driver.find_elements(By.CSS_SELECTOR, "#list-rows tr")
            scores = [row.find_elements(By.TAG_NAME, "td")[-1].text for row in rows]
            self.assertEqual(scores, sorted(scores, reverse=True))
            Select(self.by("method")).select_by_value("extent")
            self.wait(lambda: "P-17" not in self.driver.page_source, "no patient's id")
            self.driver.find_element(By.XPATH, f"//button[text()='{studies[0].name}']").click()
            self.wait(lambda: self.by("course").is_displayed(), "the patient's course")
            said = self.by("course-text").text
            self.assertLess(said.index("2020-03-01"), said.index("2020-03-02"))
            self.assertEqual(len(self.driver.find_elements(By.CSS_SELECTOR, "#curve polyline")), 2)
            self.assertEqual(len(self.driver.find_elements(By.CSS_SELECTOR, "#curve circle")), 4)
            self.driver.save_screenshot(str(self.shots / "extent.png"))
            self.assert_quiet(server.root)

    def test_phone_width_and_keyboard(self):
        self.open(360, 780)
        # Headless Chromium has a least width of its own; this is the page's.
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": 360, "height": 780, "deviceScaleFactor": 2, "mobile": True})
        self.read(self.images[0])
        wide = self.driver.execute_script("return document.documentElement.scrollWidth")
        self.assertLessEqual(wide, 360)
        self.driver.save_screenshot(str(self.shots / "phone.png"))
        reached = set()
        self.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
        for _ in range(40):
            webdriver.ActionChains(self.driver).send_keys(Keys.TAB).perform()
            reached.add(self.driver.switch_to.active_element.get_attribute("id"))
        for control in ("files", "stage", "level", "window", "zoom", "overlay", "method", "explained", "invert", "reset"):
            self.assertIn(control, reached)
        zoom = self.by("zoom")
        self.by("stage").send_keys("+")
        self.assertEqual(zoom.get_attribute("value"), "120")
        self.assert_quiet()

    def test_what_it_shows_of_the_hospital(self):
        with Federation() as federation:
            federation.join("north", self.data)
            federation.start("north")
            federation.wait(federation.submit(small_plan(self.folder / "small.yaml", rounds=1)))
            north = federation.home("north")
            run("consilium-client", "pull", "--dir", north)
            with Served("--dir", north, "--threads", 1) as server:
                self.open(address=server.address)
                self.wait(lambda: self.by("house").is_displayed(), "the hospital's part")
                for part, said in (("evaluation", "balanced accuracy"), ("training", "Balanced accuracy there"), ("data", "training"), ("plans", "e2e"),
                                   ("outbox", ".train")):
                    self.by(part).find_element(By.TAG_NAME, "summary").click()
                    self.wait(lambda: said in self.by(part).text, f"{said} in {part}")
                for part in ("evaluation", "data"):
                    shown = self.by(part).find_element(By.TAG_NAME, "img")
                    self.wait(lambda: shown.get_property("naturalWidth") > 0, f"the picture of {part}")
                self.driver.save_screenshot(str(self.shots / "hospital.png"))
                self.assert_quiet(server.root)
        self.assertEqual(self.server.get("/v1/house/plans")[0], 501)  # it serves a file, not a hospital

    def test_readers_language(self):
        self.open(language="fr,de-CH,en")
        self.wait(lambda: self.by("desk").is_displayed(), "the desk")
        self.assertEqual(self.driver.find_element(By.TAG_NAME, "h1").text, "Befundungsplatz")
        self.assertEqual(self.driver.find_element(By.TAG_NAME, "html").get_attribute("lang"), "de")
        self.assert_quiet()

    def test_catalogues_say_the_same(self):
        def catalogue(language):
            with urllib.request.urlopen(f"{self.root}messages.{language}.json") as answer:
                return json.load(answer)

        def places(messages):
            return {key: sorted(re.findall(r"\{\w+\}", message)) for key, message in messages.items()}
        self.assertEqual(places(catalogue("de")), places(catalogue("en")))

    def test_strangers_and_wrong_tokens(self):
        self.open(address=self.root)
        self.wait(lambda: self.by("token").is_displayed(), "the token is asked for")
        self.assertFalse(self.by("desk").is_displayed())
        self.by("token").send_keys("wrong" + Keys.ENTER)
        self.wait(lambda: "not the token" in self.by("status").text, "it is refused")
        self.by("token").clear()
        self.by("token").send_keys(self.token + Keys.ENTER)
        self.wait(lambda: self.by("desk").is_displayed(), "it is taken")

    def test_hostile_files(self):
        self.open()
        script = self.folder / "x.svg"
        script.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>window.harmed = 1</script></svg>")
        path = self.folder / "..%2f..%2f<img src=x onerror=window.harmed=1>.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n no picture")
        bomb = self.folder / "bomb.png"
        whole = self.images[0].read_bytes()
        bomb.write_bytes(whole[:16] + b"\x00\x0f\x42\x40\x00\x0f\x42\x40" + whole[24:])  # 10^6 x 10^6
        large = self.folder / "large.png"
        with open(large, "wb") as out:
            out.truncate(2 << 30)  # sparse
        for hostile, said in ((script, "not a whole"), (path, "not a whole"), (bomb, "1000000 x 1000000"),
                              (large, None)):
            self.upload(hostile)
            self.wait(lambda: self.by("status").text.startswith("0 read.") and
                      hostile.name in self.by("status").text, f"{hostile.name} is refused")
            if said:
                self.assertIn(said, self.by("status").text)
        self.assertIsNone(self.driver.execute_script("return window.harmed ?? null"))
        self.read(self.images[0])  # the desk goes on
        self.driver.save_screenshot(str(self.shots / "after-hostile-files.png"))

    def test_unlike_picture_has_no_answer(self):
        import numpy
        import zlib
        import struct

        def chunk(kind, data):
            body = kind + data
            return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
        stripes = numpy.tile(numpy.array([0, 255] * 100, dtype=numpy.uint8), (200, 1))
        rows = b"".join(b"\0" + row.tobytes() for row in stripes)
        picture = self.folder / "stripes.png"
        picture.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 200, 200, 8, 0, 0, 0, 0)) +
                            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
        self.open()
        self.upload(picture)
        self.wait(lambda: self.by("verdict").text, "an answer")
        self.assertIn("unlike", self.by("verdict").text)
        self.driver.save_screenshot(str(self.shots / "unlike.png"))

    def test_other_pages_cannot_act(self):
        """Without the token, as any other page's request would be: no cookie, no credential."""
        for origin in ("http://evil.example", "null"):
            request = urllib.request.Request(self.root + "v1/models", headers={"Origin": origin})
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request)
            self.assertEqual(refused.exception.code, 401)
            self.assertNotIn("Access-Control-Allow-Origin", refused.exception.headers)


if __name__ == "__main__":
    unittest.main()
