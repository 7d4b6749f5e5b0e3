"""The page at `/` in headless Chromium, against the server with the built-in voice.

`UNISONO_PICTURES=docs/images pytest tests/serve/test_page.py -k pictures` writes the pictures of the documentation.
"""

import base64
import io
import json
import os
import re
import shutil
import urllib.request
import wave
from itertools import pairwise
from pathlib import Path

import pytest

from unisono import hub
from unisono.serve import Settings

PAGE = Path(__file__).parents[2] / "src" / "unisono" / "serve" / "page"
PICTURES = "UNISONO_PICTURES"
LARGEST_PICTURE = 150_000  # bytes
WAIT = 180_000  # ms; only a broken page takes so long, however busy the machine
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
SHORT = "The harbour lay quiet."
PICTURED = (
    "Every word is lit while you hear it. Click one, and the voice goes on from there. Below, each token of the text "
    "stands where it sounds. [pause:0.6s] Drag the edge of a word, and it takes its time; let it wait, and the pause "
    "is yours."
)
CHROMIUM = os.environ.get("UNISONO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
SWITCHES = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
# Runs before the page: notes which words were lit, what sound was laid out when, what moved, what was forbidden.
WATCH = """
window.seen = {lit: [], laid: [], shifts: 0, moved: [], forbidden: []};
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when) {
  seen.laid.push([when, this.buffer.length, this.context.sampleRate]);
  start.call(this, when);
};
addEventListener("securitypolicyviolation", ({blockedURI}) => seen.forbidden.push(blockedURI));
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) {
    seen.shifts += entry.value;
    const places = entry.sources.map(({node, currentRect}) => [node?.id || node?.className, currentRect]);
    seen.moved.push([entry.value, ...places]);
  }
}).observe({type: "layout-shift", buffered: true});
addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  const word = document.querySelector(".word.now");
  if (word && seen.lit.at(-1) !== Number(word.dataset.word)) seen.lit.push(Number(word.dataset.word));
}).observe(document.getElementById("reading"), {subtree: true, attributes: true, attributeFilter: ["class"]}));
"""


@pytest.fixture(scope="module")
def server():
    """The address of a server with the built-in voice."""
    from serving import running

    with running(Settings(), (hub.load(), hub.model_folder(None))) as server:
        yield server.url


@pytest.fixture(scope="module")
def answer(server):
    """What the server answers when the page wants to hear `SHORT`; for tests that are about something else."""
    body, headers = ask(server, {"input": SHORT, "response_format": "pcm", "stream_format": "sse"})
    return {"body": body, "headers": headers}


def ask(server: str, fields: dict) -> tuple[bytes, dict]:
    """Body and headers of a speech."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server}/v1/audio/speech", json.dumps(fields).encode(), headers)
    with urllib.request.urlopen(request, timeout=WAIT / 1000) as answer:
        return answer.read(), dict(answer.headers)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium with a microphone that beeps."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here (UNISONO_CHROMIUM names one)")
    playwright.expect.set_options(timeout=WAIT)
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server):
    """Opens the page in a new profile; in the end no script may have failed and nothing foreign been asked for."""
    opened, problems = [], []

    def opening(viewport=DESKTOP, answer=None, **options):
        context = browser.new_context(viewport=viewport, color_scheme=options.pop("color_scheme", "light"), **options)
        context.set_default_timeout(WAIT)
        context.add_init_script(WATCH)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on("request", lambda request: problems.append(request.url) if foreign(request.url, server) else None)
        if answer is not None:
            page.route("**/v1/audio/speech", lambda route: route.fulfill(**answer))
        page.goto(server)
        page.locator("#voice option").first.wait_for(state="attached")
        opened.append((context, page))
        return page

    yield opening
    for context, page in opened:
        problems += page.evaluate("() => seen.forbidden")
        context.close()
    assert problems == []


def foreign(url: str, server: str) -> bool:
    """Does a request leave the server?"""
    return not url.startswith((server + "/", "blob:"))


def expect(what):
    from playwright.sync_api import expect

    return expect(what)


def speak(page, text: str) -> None:
    """Type a text, have it spoken, and wait until all of it is there."""
    page.locator("#text").fill(text)
    page.locator("#speak").click()
    wait_until_spoken(page)


def wait_until_spoken(page) -> None:
    page.locator(".word").first.wait_for()
    expect(page.locator("body")).not_to_have_class(re.compile("working"))


def seconds(page, element: str) -> float:
    """What a clock of the page shows."""
    minutes, rest = page.locator(element).inner_text().strip(" /").split(":")
    return int(minutes) * 60 + float(rest)


def test_words_light_up_in_order_while_they_are_spoken(open_page):
    page = open_page()
    page.locator("#text").fill(SHORT)
    page.locator("#speak").click()
    expect(page.locator("body")).to_have_attribute("data-player", "playing")
    expect(page.locator("body")).to_have_attribute("data-player", "ended")
    wait_until_spoken(page)
    assert page.locator(".word").all_inner_texts() == SHORT.split()
    lit = page.evaluate("() => seen.lit")
    assert lit == sorted(lit) and len(lit) >= 3, lit  # a short word may fall between two pictures of a busy machine
    assert page.locator(".bit").count() == len(SHORT.split())
    assert seconds(page, "#clock") == seconds(page, "#total") > 0.5
    assert page.evaluate("() => seen.shifts") < 0.01, page.evaluate("() => JSON.stringify(seen.moved)")


def test_the_picture_of_the_sound_is_drawn(open_page, answer):
    page = open_page(answer=answer)
    count = """() => {
      const wave = document.getElementById("wave");
      const { data } = wave.getContext("2d").getImageData(0, 0, wave.width, wave.height);
      return data.filter((value, i) => i % 4 === 3 && value > 0).length;
    }"""
    assert page.evaluate(count) == 0
    speak(page, SHORT)
    expect(page.locator(".bit").first).to_be_visible()
    assert page.evaluate(count) > 2000


def test_the_sound_is_laid_out_end_to_end(open_page, answer):
    page = open_page(answer=answer)
    speak(page, SHORT)
    expect(page.locator("body")).to_have_attribute("data-player", "ended")
    laid = page.evaluate("() => seen.laid")
    assert {rate for _, _, rate in laid} == {24000}  # nothing is resampled
    assert sum(samples for _, samples, _ in laid) == heard(answer)
    for (when, samples, rate), (after, _, _) in pairwise(laid):
        assert after == pytest.approx(when + samples / rate, abs=1e-6)


def heard(answer: dict) -> int:
    """Samples in a stream of events."""
    events = [json.loads(line[6:]) for line in answer["body"].decode().splitlines() if line.startswith("data: ")]
    return sum(len(base64.b64decode(event.get("audio", ""))) for event in events) // 2


def test_a_click_on_a_word_plays_from_it(open_page, answer):
    page = open_page(answer=answer)
    speak(page, SHORT)
    expect(page.locator("body")).to_have_attribute("data-player", "ended")
    total = seconds(page, "#total")
    page.evaluate("() => { seen.lit = []; }")
    page.locator(".word", has_text="quiet.").click()
    expect(page.locator(".word.now")).to_have_text("quiet.")
    expect(page.locator("#the-word")).to_have_text("quiet.")
    assert seconds(page, "#clock") > total * 0.5
    expect(page.locator("body")).to_have_attribute("data-player", "ended")
    assert page.evaluate("() => seen.lit") == [3]


def test_a_click_below_the_sound_moves_to_a_word_and_stays_paused(open_page, answer):
    page = open_page(answer=answer)
    speak(page, SHORT)
    expect(page.locator("body")).to_have_attribute("data-player", "ended")
    page.locator(".bit", has_text="lay").click(position={"x": 3, "y": 10})
    expect(page.locator(".word.now")).to_have_text("lay")
    expect(page.locator("body")).to_have_attribute("data-player", "paused")


def test_a_longer_word_and_a_pause_become_tags_and_are_heard(open_page):
    page = open_page()
    speak(page, SHORT)
    before = seconds(page, "#total")
    page.locator(".bit", has_text="lay").click(position={"x": 3, "y": 10})
    for _ in range(5):
        page.locator("#pause-more").click()
    page.locator("#longer").click()
    assert page.locator("#text").input_value() == "The harbour [rate:0.91]lay[/rate] [pause:1s] quiet."
    expect(page.locator("#speak-label")).to_have_text("Hear it again")
    with page.expect_request("**/v1/audio/speech") as asked:
        page.locator("#speak").click()
    assert asked.value.post_data_json["input"] == "The harbour [rate:0.91]lay[/rate] [pause:1s] quiet."
    expect(page.locator(".chip")).to_have_text(["0.91×", "1 s"])
    wait_until_spoken(page)
    assert 0.7 < seconds(page, "#total") - before < 1.6
    expect(page.locator(".bit.wait")).to_have_text("1 s")
    expect(page.locator("#pause-value")).to_have_text("1 s")


def test_the_edge_of_a_word_can_be_dragged_and_undone(open_page, answer):
    page = open_page(answer=answer)
    speak(page, SHORT)
    page.locator(".bit", has_text="lay").click(position={"x": 3, "y": 10})
    box = page.locator(".bit", has_text="lay").bounding_box()
    across = box["y"] + 12
    page.mouse.move(box["x"] + box["width"] - 3, across)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 1.5, across, steps=4)
    assert page.locator("#text").input_value() == SHORT  # only seen, until it is let go
    page.mouse.up()
    rate = re.fullmatch(r"The harbour \[rate:([0-9.]+)\]lay\[/rate\] quiet\.", page.locator("#text").input_value())
    assert rate and 0.5 < float(rate[1]) < 0.8
    expect(page.locator("#status")).to_have_text("1 word changed")
    page.locator("#undo").click()
    assert page.locator("#text").input_value() == SHORT
    expect(page.locator("#speak-label")).to_have_text("Speak")


def test_the_files_hold_what_is_heard(open_page, answer):
    page = open_page(answer=answer)
    speak(page, SHORT)
    with page.expect_download() as kept:
        page.locator("#wav").click()
    assert kept.value.suggested_filename == "the-harbour-lay-quiet.wav"
    with wave.open(io.BytesIO(Path(kept.value.path()).read_bytes())) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 24000)
        assert sound.getnframes() / 24000 == pytest.approx(seconds(page, "#total"), abs=0.1)
        assert any(sound.readframes(sound.getnframes()))
    with page.expect_download() as kept:
        page.locator("#srt").click()
    cues = Path(kept.value.path()).read_text().split("\n\n")
    assert [cue.split("\n")[2] for cue in cues] == SHORT.split()
    assert re.match(r"1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\n", cues[0])


@pytest.fixture
def sample(server, tmp_path):
    """A recording and its words."""
    text = "The harbour lay quiet in the early light, and nobody on the quay said a word."
    path = tmp_path / "anna.wav"
    path.write_bytes(ask(server, {"input": text, "response_format": "wav"})[0])
    return path, text


def test_a_voice_is_uploaded_with_consent_used_and_removed(open_page, sample):
    page = open_page()
    recording, text = sample
    page.locator("#add-voice").click()
    page.locator("#sample").set_input_files(recording)
    expect(page.locator("#sample-state")).to_contain_text("anna.wav")
    assert page.locator("#voice-name").input_value() == "anna"
    page.locator("#transcript").fill(text)
    page.locator("#voice-save").click()
    expect(page.locator("#voice-error")).to_contain_text("allowed")
    page.locator("#consent").check()
    page.locator("#voice-save").click()
    expect(page.locator("#voice-dialog")).to_be_hidden()
    expect(page.locator("#voice")).to_have_value("anna")
    with page.expect_request("**/v1/audio/speech") as asked:
        speak(page, "Hello.")
    assert asked.value.post_data_json["voice"] == "anna"
    page.locator("#add-voice").click()
    for _ in range(2):  # the second press means it
        page.get_by_role("button", name="Remove the voice anna").click()
    expect(page.locator("#own-voices")).to_be_hidden()
    assert "anna" not in page.locator("#voice option").all_inner_texts()


def test_a_voice_can_be_recorded(open_page):
    page = open_page()
    page.locator("#add-voice").click()
    page.locator("#record").click()
    expect(page.locator("#record-label")).to_have_text("Stop")
    expect(page.locator("#sample-state")).to_contain_text(re.compile(r"^[1-9]"))  # a second at least
    page.locator("#record").click()
    expect(page.locator("#sample-state")).to_contain_text("your recording")
    page.locator("#suggest").click()
    assert len(page.locator("#transcript").input_value().split()) > 20
    page.locator("#voice-save").click()
    expect(page.locator("#voice-error")).to_have_text("Give the voice a name.")


def test_what_goes_wrong_is_said_where_it_was_asked_for(open_page):
    page = open_page()
    page.locator("#text").fill("   ")
    page.locator("#speak").click()
    expect(page.locator("#error")).to_have_text("Type a text first.")
    page.locator("#text").fill("Wait. [pause:50s]")
    page.locator("#speak").click()
    expect(page.locator("#error")).to_contain_text("[pause:50s]")
    assert page.locator("#text").input_value() == "Wait. [pause:50s]" and page.locator("#text").is_visible()
    assert page.locator("#error").get_attribute("role") == "alert"
    page.locator("#text").fill("Wait.")
    expect(page.locator("#error")).to_be_empty()
    page.route("**/v1/audio/speech", lambda route: route.abort())
    page.locator("#speak").click()
    expect(page.locator("#error")).to_have_text("The server does not answer. Is it still running?")


def test_a_stream_that_breaks_keeps_what_was_heard_and_says_so(open_page):
    events = 'data: {"type": "speech.audio.delta", "audio": "%s"}\n\n' % ("AAAA" * 4000)
    events += 'data: {"type": "speech.audio.word", "text": "The", "start": 0.0, "end": 0.1}\n\n'
    events += 'data: {"type": "speech.audio.error", "error": {"message": "the machine stopped"}}\n\n'
    page = open_page(
        answer={"headers": {"content-type": "text/event-stream", "x-sample-rate": "24000"}, "body": events}
    )
    page.locator("#text").fill(SHORT)
    page.locator("#speak").click()
    expect(page.locator("#error")).to_have_text("The machine stopped.")
    expect(page.locator(".word")).to_have_text(["The"])
    expect(page.locator("#wav")).to_be_enabled()


def test_a_lost_connection_is_said(open_page):
    page = open_page()
    page.evaluate("""() => {
      const broken = new ReadableStream({ start: (stream) => stream.error(new TypeError("network error")) });
      window.fetch = async () => new Response(broken, { headers: { "x-sample-rate": "24000" } });
    }""")
    page.locator("#text").fill(SHORT)
    page.locator("#speak").click()
    expect(page.locator("#error")).to_have_text("The connection to the server was lost.")


def test_speaking_can_be_stopped(open_page):
    page = open_page()
    page.locator("#text").fill(" ".join([SHORT] * 40))
    page.locator("#speak").click()
    expect(page.locator("body")).to_have_attribute("data-player", "playing")
    assert page.locator("#speak-label").inner_text() == "Stop"  # it is heard while more of it is made
    page.locator("#speak").click()
    wait_until_spoken(page)
    assert 0 < page.locator(".word").count() < 160
    expect(page.locator("#error")).to_be_empty()


def test_dark_and_light_follow_the_system_until_one_is_chosen(open_page):
    page = open_page(color_scheme="dark")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    assert sum(map(int, re.findall(r"\d+", dark))) < 150 < 600 < sum(map(int, re.findall(r"\d+", light)))
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate(ground) == dark
    page.reload()
    assert page.evaluate(ground) == dark
    assert page.get_by_role("button", name="Dark theme").get_attribute("aria-pressed") == "true"


def test_a_phone_shows_all_of_it_without_scrolling_sideways(open_page):
    page = open_page(PHONE, is_mobile=True, has_touch=True)
    speak(page, "A [pause:0.5s] single boat came in. " * 3 + "W" * 80)
    page.locator(".word").nth(1).tap()
    page.locator("#more-button").tap()
    expect(page.locator("#word-editor")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("() => document.documentElement.scrollHeight") <= PHONE["height"]
    for control in page.locator("main button:visible, main input:visible, header button:visible, #voice").all():
        box = control.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"], control
        assert box["height"] >= 30 or control.get_attribute("type") == "range", control
    page.locator("#add-voice").tap()
    assert page.evaluate("() => document.getElementById('voice-dialog').scrollWidth") <= PHONE["width"]


def test_all_of_it_can_be_done_with_the_keyboard(open_page):
    page = open_page()
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.type(SHORT)  # over the example, which is selected
    page.keyboard.press("Control+Enter")
    wait_until_spoken(page)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".word.chosen")).to_be_focused()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#the-word")).to_have_text("The")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_have_attribute("data-player", "playing")
    page.keyboard.press("Space")
    expect(page.locator("body")).to_have_attribute("data-player", "paused")
    page.keyboard.press("-")
    page.keyboard.press("p")
    assert page.locator("#text").input_value() == "The [rate:1.1]harbour[/rate] [pause:0.2s] lay quiet."
    page.keyboard.press("Control+z")
    page.keyboard.press("Shift+?")
    expect(page.locator("#keys-dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys-dialog")).to_be_hidden()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".chip")).to_have_text(["1.1×"])
    wait_until_spoken(page)
    page.keyboard.press("Escape")
    expect(page.locator("#text")).to_be_focused()
    order = []
    while "srt" not in order and len(order) < 20:
        page.keyboard.press("Tab")
        order.append(page.evaluate("() => document.activeElement.id"))
    assert order == ["more-button", "speak", "play", "shorter", "longer", "pause-more", "wav", "srt"]


def test_settings_travel_with_the_request_and_are_kept(open_page, answer):
    page = open_page(answer=answer)
    page.locator("#more-button").click()
    page.locator("#steps").fill("3")
    page.locator("#seed").fill("7")
    page.locator("#speed").fill("1.5")
    with page.expect_request("**/v1/audio/speech") as asked:
        speak(page, SHORT)
    body = asked.value.post_data_json
    assert {name: body.get(name) for name in ("steps", "seed", "speed", "guidance")} == {
        "steps": 3,
        "seed": 7,
        "speed": 1.5,
        "guidance": None,
    }
    page.reload()
    assert page.locator("#seed").input_value() == "7"
    page.locator("#more-button").click()
    page.locator("#steps").fill("1000")
    page.locator("#speak").click()
    expect(page.locator("#error")).to_contain_text("Steps: ")


def test_a_text_is_read_and_changed_as_its_tags_say(open_page):
    change = """async ([source, words, edits]) => {
      const {WordFinder, applyEdits, readScript, sourceSpan} = await import("./static/script.js");
      const script = readScript(source);
      const finder = new WordFinder(script);
      const spans = words.map((word) => finder.next(word)).map((place) => place && sourceSpan(script, place));
      return applyEdits(script, spans, new Map(edits));
    }"""
    page = open_page()
    plain = ["One", "two", "three."]
    tagged = "One [rate:1.3]two[/rate] [pause:0.8s] three."
    cases = [
        ("One two three.", plain, [[1, {"rate": 1.3, "pause": 0.8}]], tagged),
        (tagged, plain, [[1, {"rate": 1, "pause": 0}]], "One two three."),
        (tagged, plain, [[1, {"rate": 2, "pause": 0.25}]], "One [rate:2]two[/rate] [pause:0.25s] three."),
        ("[rate:2]One two[/rate] three.", plain, [[0, {"rate": 1}]], "[rate:2][rate:0.5]One[/rate] two[/rate] three."),
        ("[say:wʌn|One] two three.", plain, [[0, {"rate": 2}]], "[rate:2][say:wʌn|One][/rate] two three."),
        ("One two three.", plain, [[2, {"pause": 99}]], "One two three. [pause:10s]"),
        ("One \\[pause:1s] two", ["One", "two"], [[1, {"rate": 0.1}]], "One \\[pause:1s] [rate:0.25]two[/rate]"),
        ("One two", ["One", "elsewhere", "two"], [[1, {"rate": 2}], [2, {"pause": 1}]], "One two [pause:1s]"),
    ]
    for source, words, edits, wanted in cases:
        assert page.evaluate(change, [source, words, edits]) == wanted


def test_long_texts_are_cut_where_nothing_is_lost(open_page):
    split = """async ([source, limit]) => (await import("./static/script.js")).splitText(source, limit)"""
    page = open_page()
    source = "\n\n".join(["It was early. [rate:1.2]Nobody said a word, and no one moved.[/rate] Dr. No slept."] * 40)
    for limit in (200, 1000, 4000):
        parts = page.evaluate(split, [source, limit])
        assert "".join(parts) == source and max(map(len, parts)) <= limit
        assert all(part.count("[rate") == part.count("[/rate]") for part in parts)
        assert all(part.rstrip().endswith((".", "[/rate]")) for part in parts)
    assert page.evaluate(split, ["x" * 50, 20]) == ["x" * 20, "x" * 20, "x" * 10]


def test_a_key_is_asked_for_where_the_server_wants_one(open_page, answer):
    page = open_page(answer=answer)

    def check(route):
        if route.request.headers.get("authorization") == "Bearer sesame-123":
            return route.fallback()
        return route.fulfill(status=401, json={"error": {"message": "wrong key"}})

    page.route("**/v1/**", check)
    page.locator("#text").fill(SHORT)
    page.locator("#speak").click()
    page.locator("#api-key").fill("sesame-123")
    page.keyboard.press("Enter")
    wait_until_spoken(page)
    expect(page.locator("#error")).to_be_empty()


def test_pictures(open_page, tmp_path):
    """The pictures of docs/serving.md can be taken, and are small."""
    folder = Path(os.environ.get(PICTURES) or tmp_path)
    page = open_page()
    speak(page, PICTURED)
    page.evaluate("() => { if (document.body.dataset.player === 'playing') document.getElementById('play').click(); }")
    expect(page.locator("body")).not_to_have_attribute("data-player", "playing")
    for key, word in (("ArrowLeft", "Every"), ("ArrowRight", "Click")):  # wherever the sound had come to
        while page.locator("#the-word").inner_text() != word:
            page.keyboard.press(key)
    page.locator(".bit", has_text="Click").click(position={"x": 3, "y": 10})
    for _ in range(2):
        page.locator("#longer").click()
        page.locator("#pause-more").click()
    page.locator("#wave").click(position={"x": 760, "y": 60})
    keep_picture(page, folder / "page-light.png")
    page.emulate_media(color_scheme="dark")
    keep_picture(page, folder / "page-dark.png")
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="light")
    keep_picture(page, folder / "page-phone.png")
    page.set_viewport_size(DESKTOP)
    page.locator("#edit").click()
    page.locator("#text").fill("Wait. [pause:50s] Go.")
    page.locator("#speak").click()
    expect(page.locator("#error")).to_contain_text("[pause:50s]")
    keep_picture(page, folder / "page-error.png")


def keep_picture(page, path: Path) -> None:
    """A picture of the page in few colours."""
    from PIL import Image

    page.mouse.move(0, 0)
    page.wait_for_timeout(200)  # until colours that fade have arrived
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size < LARGEST_PICTURE


def test_the_files_of_the_page_are_all_there_and_ask_nothing_of_others():
    text = {path.name: path.read_text(encoding="utf-8") for path in PAGE.iterdir()}
    named = set(re.findall(r'static/([\w.-]+)"', text["index.html"]))
    for name, content in text.items():
        if name.endswith(".js"):
            named |= set(re.findall(r'(?:from|new URL\() ?"\./?([\w-]+\.js)"', content))
            named |= set(re.findall(r'new URL\("([\w-]+\.js)"', content))
            assert not re.search(r"\beval\(|new Function|innerHTML|document\.write", content), name
        assert not re.search(r"https?://(?!www\.w3\.org/)", content), name
    assert named == set(text) - {"index.html"}
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", text["index.html"])
