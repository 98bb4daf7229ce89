"""The explorer page in a real browser: its numbers, its screens by keyboard alone, and hostile models."""

import base64
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from test_engine import LIMIT, TEXTS, expected, worst
from v8 import STUDY, V, as_array, bodies, make_model

from minilstm import Tokenizer
from minilstm.explain.page import page_model, write_page
from minilstm.explain.trace import trace

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,  # each page takes about a second, and the browser some more to start
    pytest.mark.skipif(not CHROMIUM, reason="no browser: apt-get install chromium chromium-driver"),
]
DEMOS = Path(__file__).parents[2] / "demos"
SCREENS = ["step", "memory", "filters", "whatif", "backwards", "units", "words"]
TEXT = "w3 w1 what w4 w1 w5 w9"


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    assert DRIVER, "Chromium is installed, but its driver is not: apt-get install chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


class Page:
    """A page that a model was written to, open in the browser."""

    def __init__(self, browser, path, width=1000):
        self.browser, self.path = browser, Path(path)
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, **state):
        """Open the page at a state, and wait until nothing is computed any more."""
        self.browser.get("about:blank")
        for kind in ("browser", "performance"):
            self.browser.get_log(kind)
        self.browser.get(f"{self.path.as_uri()}#{'&'.join(f'{k}={quote(str(v))}' for k, v in state.items())}")
        return self.settle()

    def settle(self):
        """Wait until the predictions after each word and the attributions are there."""
        end = time.monotonic() + 20
        while (self.text("answer") == "…" or "Computing …" in self.text("screen")) and time.monotonic() < end:
            time.sleep(0.02)
        return self

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def text(self, name):
        return self.run("return document.getElementById(arguments[0])?.textContent ?? ''", name)

    def press(self, *keys):
        """Press keys on whatever has the focus."""
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()
        return self.settle()

    def tab_to(self, name):
        """Reach an element by the tab key alone."""
        from selenium.webdriver.common.keys import Keys

        for _ in range(80):
            if self.run("return document.activeElement.id") == name:
                return self
            self.press(Keys.TAB)
        raise AssertionError(f"the tab key does not reach {name}")

    def log(self):
        """What the console says, and the addresses of all requests."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        requests = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [entry["message"] for entry in self.browser.get_log("browser")], requests


@pytest.fixture
def page_for(browser, tmp_path):
    def write(model, width=1000, texts=(TEXT,), **options):
        write_page(model, tmp_path / "page.html", list(texts), **options)
        return Page(browser, tmp_path / "page.html", width)

    return write


ARCHITECTURES = list(bodies())[:5]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_browser_computes_what_the_textbook_layers_compute(page_for, name):
    page = page_for(make_model(name)).open()
    script = (
        "const about = JSON.parse(document.getElementById('model').textContent);"
        f"{STUDY} load(about, document.getElementById('weights').textContent); return study(arguments[0], 0);"
    )
    for n, ids in enumerate(TEXTS):
        difference, place = worst(json.loads(page.run(script, ids), object_hook=as_array), expected(name, n, 0))
        assert difference <= LIMIT, place


@pytest.mark.parametrize("name", [*ARCHITECTURES, "heads", "pooled", "backwards"])
def test_every_screen_is_shown_without_a_request_or_a_message(page_for, name):
    page = page_for(make_model(name), width=360)
    for screen in SCREENS:
        page.open(screen=screen)
        assert page.run("return document.documentElement.dataset.ready") == "yes"
        assert page.run("return document.documentElement.scrollWidth") <= 360, screen
        assert len(page.text("screen")) > 100
        assert not re.search("NaN|undefined|null", page.text("main")), screen
        messages, requests = page.log()
        assert messages == []
        assert [url for url in requests if not url.startswith((page.path.as_uri(), "about:", "data:"))] == []


@pytest.mark.parametrize("text", ["", "what", "w1", "w1 " * 300, "<br />", '"w1" İ ß ς 😀 这'])
def test_any_text_is_shown(page_for, text):
    page = page_for(make_model("bidirectional"))
    for screen in SCREENS:
        page.open(screen=screen, text=text)
        assert not re.search("NaN|undefined|cannot show", page.text("main")), screen
        assert page.log()[0] == []


def test_words_that_the_model_does_not_know_are_struck_through(page_for):
    page = page_for(make_model("lstm")).open()
    assert page.run("return [...document.querySelectorAll('#words s')].map((s) => s.textContent)") == ["what"]


def test_the_page_shows_the_numbers_of_the_trace(page_for):
    model = make_model("lstm")
    t = trace(page_model(model), TEXT)
    page = page_for(model).open(t=2, unit=1, screen="step")
    p = float(re.search(r"([\d.]+) % (?:good|bad)", page.text("answer"))[1]) / 100
    assert p == pytest.approx(max(t["probability"][3].item(), 1 - t["probability"][3].item()), abs=6e-4)
    table = page.run("return [...document.querySelectorAll('tbody tr')].map((r) => r.lastChild.textContent)")
    shown = [float(cell.split("=")[1].replace("−", "-")) for cell in table]
    np.testing.assert_allclose(shown, [t[f"lstm.{gate}"][2, 1] for gate in "ifgo"], atol=6e-4)


def test_all_screens_are_reached_and_used_by_the_keyboard_alone(page_for):
    from selenium.webdriver.common.keys import Keys

    page = page_for(make_model("lstm")).open(t=0)
    page.tab_to("word-0").press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert "After word 3 of 6" in page.text("live")
    assert page.run("return document.activeElement.id") == "word-2"
    for screen, used in [
        ("step", "unit-next"),
        ("memory", "memory-0"),
        ("whatif", "delete"),
        ("backwards", "check-c"),
        ("units", "unit-next"),
        ("words", "row-3"),
    ]:
        page.tab_to(f"to-{screen}").press(Keys.ENTER)
        assert page.run("return new URLSearchParams(location.hash.slice(1)).get('screen') ?? 'step'") == screen
        before = page.text("main")
        page.tab_to(used).press(Keys.ENTER)
        assert page.text("main") != before


def test_a_gradient_in_the_page_equals_its_finite_difference(page_for):
    from selenium.webdriver.common.keys import Keys

    page = page_for(make_model("deep")).open(screen="backwards", t=1, run=0)
    for kind in "hc":
        page.tab_to(f"check-{kind}").press(Keys.ENTER)
        by, numeric = re.findall(r"(-?\d\.\d+e[+-]\d+) by", page.text("checked"))
        assert float(by) == pytest.approx(float(numeric), rel=1e-4)


def test_a_deleted_word_is_compared_with_the_reading_before(page_for):
    from selenium.webdriver.common.keys import Keys

    page = page_for(make_model("lstm")).open(screen="whatif", t=0)
    page.tab_to("delete").press(Keys.ENTER)
    rows = page.run("return [...document.querySelectorAll('#screen tbody tr')].map((r) => r.children[1].textContent)")
    before, changed, difference = (float(cell.replace("−", "-")) for cell in rows)
    assert changed - before == pytest.approx(difference, abs=2e-3)
    assert difference != 0
    assert page.run("return document.getElementById('what').value") == "w1 w4 w1 w5 w9"


def test_the_screenshot_in_the_readme_shows_the_page_of_the_demo(browser, tmp_path):
    """The picture is made here. To replace the one in demos/, run this with SCREENSHOT=demos/page.png."""
    command = [sys.executable, DEMOS / "look.py", "--data", "builtin", "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    page = Page(browser, tmp_path / "look.html", 900).open(screen="step", t=14, unit=2)
    assert re.search(r"After word 15 of 16, “not”: 9\d\.\d % negative", page.text("answer"))
    area = {"x": 0, "y": 0, "width": 900, "height": page.run("return document.body.scrollHeight"), "scale": 1}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": area, "captureBeyondViewport": True})
    picture = base64.b64decode(shot["data"])
    assert struct.unpack(">I", picture[16:20]) == struct.unpack(">I", (DEMOS / "page.png").read_bytes()[16:20])  # width
    Path(os.environ.get("SCREENSHOT", tmp_path / "page.png")).write_bytes(picture)


def test_the_tour_visits_every_screen_through_the_url(page_for):
    from selenium.webdriver.common.keys import Keys

    page = page_for(make_model("lstm")).open()
    page.tab_to("tour-start").press(Keys.ENTER)
    seen = []
    for _ in range(11):
        state = dict(page.run("return [...new URLSearchParams(location.hash.slice(1))]"))
        seen.append(state.get("screen", "step"))
        page.press(Keys.ENTER)
    assert set(seen) == set(SCREENS) - {"filters"}
    assert page.run("return document.getElementById('tour').hidden")


def test_a_state_is_shared_by_its_url(page_for):
    page = page_for(make_model("bidirectional")).open(text="w2 w5 w7", t=1, unit=2, screen="units", show="f", shift=-1)
    assert "f of unit 2" in page.text("screen")
    assert "“w5”" in page.text("answer")
    assert "−1.000" in page.text("read")


def test_odd_values_in_the_url_are_taken_as_near_as_they_go(page_for):
    odd = {"t": "1e9", "unit": "-7", "screen": "nowhere", "run": "NaN", "shift": "99", "reader": "__proto__", "k": "5"}
    page = page_for(make_model("deep")).open(text="<img src=x onerror=alert(1)>", tour=99, **odd)
    assert page.run("return document.documentElement.dataset.ready") == "yes"
    assert page.run("return document.images.length") == 0
    assert page.log()[0] == []


HOSTILE = ["</script><img src=x onerror=alert(1)>", "x" * 10_000]


def test_hostile_labels_words_and_texts_are_shown_as_text(page_for):
    model = make_model("lstm")
    model.metadata["labels"] = HOSTILE
    model.tokenizer.filters = ""
    model.tokenizer.word_index = {
        ("</script><b>" if n == 1 else word): n for word, n in model.tokenizer.word_index.items()
    }
    model.tokenizer.index_word = {n: word for word, n in model.tokenizer.word_index.items()}
    page = page_for(model, texts=[("</script><b> w2 {{weights}} \u2028", HOSTILE[0])], width=360)
    for screen in SCREENS:
        page.open(screen=screen)
        assert page.run("return document.images.length + document.querySelectorAll('b').length") == 0
        assert page.run("return document.documentElement.scrollWidth") <= 360, screen
        assert page.log()[0] == []
    assert "</script><img" in page.text("about")


def test_weights_that_are_not_numbers_are_reported_in_the_page(page_for):
    page = page_for(make_model("lstm"))
    text = page.path.read_text("utf-8")
    nan = "AH4A" * 4  # the float16 numbers 0x7e00, 0x..: base64 of NaN
    page.path.write_text(re.sub(r'(id="weights">).{16}', rf"\g<1>{nan}", text), "utf-8")
    page.open()
    assert "cannot show the model" in page.text("read")
    assert "finite" in page.text("read")


def test_a_second_model_can_be_compared(page_for):
    other = make_model("bidirectional", seed=5)
    page = page_for(make_model("lstm"), compare=other).open()
    first = page.text("answer")
    page.open(reader="other")
    assert page.text("answer") != first
    assert "forward" in page.text("screen")


def test_two_models_are_shown_side_by_side(page_for):
    models = [make_model("lstm"), make_model("bidirectional", seed=5)]
    page = page_for(models[0], width=360, compare=models[1]).open(screen="models")
    for model in models:
        p = trace(page_model(model), TEXT)["probability"][-1]
        assert f"At the end: {100 * p:.1f} %" in page.text("screen")
    assert page.run("return document.querySelectorAll('#screen path.line').length") == 4  # two curves, two keys
    assert page.run("return document.documentElement.scrollWidth") <= 360
    page.open(screen="models", text="what")  # no word that they know
    assert page.text("screen").count("At the end") == 2
    assert page.log()[0] == []


def test_each_of_two_models_has_the_screens_of_its_own_layers(page_for):
    page = page_for(make_model("lstm"), compare=make_model("cnn"))
    for reader, shown, hidden in (("trained", "to-step", "to-filters"), ("other", "to-filters", "to-step")):
        for screen in [*SCREENS, "models"]:
            page.open(reader=reader, screen=screen)
            assert page.log()[0] == []
        buttons = page.run("return [...document.querySelectorAll('#screens button')].map((one) => one.id)")
        assert shown in buttons
        assert hidden not in buttons


def test_predictions_that_come_late_do_not_replace_those_of_the_model_that_is_shown(page_for):
    model = make_model("bidirectional")
    model.metadata["maxlen"] = 600
    page = page_for(model, texts=["w1 w2 w3 w4 w5 w6 w7 w8 w9 " * 60]).open()
    first = page.text("words")
    script = "const r = document.getElementById('reader'); r.value = reader; r.dispatchEvent(new Event('change'))"
    page.run(f"for (const reader of ['untrained', 'trained']) {{ {script} }}")
    time.sleep(1)  # in which the predictions of the untrained model would come
    assert page.text("words")[:60] == first[:60]


@pytest.mark.parametrize("level", ["script", "pair", "char"])
def test_a_text_that_is_not_changed_makes_no_difference(page_for, level):
    text, model = "w1 w3  what 这部电影 w3", make_model("lstm")
    model.tokenizer = Tokenizer(num_words=V, level=level)
    model.tokenizer.fit_on_texts([text])
    page = page_for(model, texts=[text]).open(screen="whatif")
    assert "difference0" in page.text("screen")
    assert page.log()[0] == []


def lower_the_forget_bias(model):
    b = model.layers[1].params["b"]
    b[len(b) // 4 : len(b) // 2] -= 2


def turn_a_unit_round(model):
    """Flip the sign of unit 0: the unit does the same, and the prediction gets the opposite of it."""
    model.layers[2].params["W"][0] *= -1


@pytest.mark.parametrize("change", [lower_the_forget_bias, turn_a_unit_round])
def test_what_one_reads_in_the_page_of_a_changed_model_is_true_of_that_model(page_for, change):
    model, text = make_model("lstm"), "w2 w7 w1 " * 3
    model.metadata["maxlen"] = 30
    model.layers[1].params["b"][3:6] += 1.5
    text = text + "w3 w4 w5 w6 w8 w9 w10 w11 w2 w3 w7 w4 w1 w5"
    change(model)
    t = trace(page_model(model), text)
    page = page_for(model, texts=(text,))

    page.open(screen="words")
    words = text.split()
    decided = words[np.abs(t["leave_one_out"]).argmax()]
    assert f"by leave one out: “{decided}”" in page.text("screen")

    page.open(screen="backwards")
    norms = np.linalg.norm(t["lstm.dc"], axis=1)
    left, unit = re.search(r"this step’s, ([\d.]+(?:e−\d+)?)( ?%) is left 20 steps", page.text("screen")).groups()
    assert unit == " %"
    assert float(left.replace("−", "-")) == pytest.approx(100 * norms[-21] / norms[-1], rel=0.06)

    at = len(words) - 4
    for unit in range(3):
        page.open(screen="step", t=at, unit=unit)
        kept, written = re.search(r"= (\S+) kept (\S+) written", page.text("screen")).groups()
        assert float(kept.replace("−", "-")) == pytest.approx(
            t["lstm.f"][at, unit] * t["lstm.c"][at - 1, unit], abs=6e-4
        )
        assert float(written.replace("−", "-")) == pytest.approx(
            t["lstm.i"][at, unit] * t["lstm.g"][at, unit], abs=6e-4
        )


def test_a_bidirectional_model_shows_first_the_lstm_that_reads_forwards(page_for):
    page = page_for(make_model("bidirectional")).open(screen="step")
    chosen = page.run("const run = document.getElementById('run'); return run.options[run.selectedIndex].textContent")
    assert chosen == "bidirectional, forward"
    assert "bidirectional, forward reads “w9”, its step 6 of 6" in page.text("screen")


def test_typing_and_dragging_are_not_interrupted_by_what_they_change(page_for):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    page = page_for(make_model("lstm")).open()
    page.run("const text = document.getElementById('text'); text.focus(); text.setSelectionRange(0, 0)")
    for sign in "w7 w8 ":
        page.press(sign)
        time.sleep(0.2)  # longer than the page waits for more signs
    assert page.run("return document.getElementById('text').value") == f"w7 w8 {TEXT}"
    assert "of 8" in page.text("answer")

    slider = page.browser.find_element(By.ID, "position")
    place = page.run("return arguments[0].getBoundingClientRect().width", slider) / 2
    page.run("window.seen = []; arguments[0].addEventListener('input', () => seen.push(arguments[0].value))", slider)
    drag = ActionChains(page.browser, duration=50)
    drag.move_to_element_with_offset(slider, int(place) - 8, 0).click_and_hold()
    for _ in range(3):
        drag.move_by_offset(-int(place / 2.5), 0)
    drag.release().perform()
    assert page.run("return seen") == ["6", "4", "3"]
    assert "After word 4 of 8" in page.text("answer")
