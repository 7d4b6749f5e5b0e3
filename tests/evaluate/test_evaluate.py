"""From data to report."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import unisono
from unisono.errors import DataError, GenerationError, InputError
from unisono.evaluate import evaluate
from unisono.evaluate.page import render_page

CONTRACT = ("n", "wer", "cer", "wer_recordings", "cer_recordings", "speaker_similarity", "seconds", "rtf")


class Links(HTMLParser):
    """What a page refers to, and its identifiers."""

    def __init__(self, page):
        super().__init__()
        self.sources, self.targets, self.names, self.scripts = [], [], set(), 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.sources += [given["src"]] if "src" in given else []
        self.targets += [given["href"]] if "href" in given else []
        self.names |= {given.get("id")}
        self.scripts += tag == "script"


@pytest.fixture
def report(evaluated):
    return evaluated[0]


def test_the_report_keeps_the_contract(evaluated):
    report, folder, parrot = evaluated
    written = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(report))
    assert set(CONTRACT) | {"failures", "items"} <= written.keys()
    assert written["n"] == len(written["items"]) == 3 and all(isinstance(written[key], int | float) for key in CONTRACT)
    assert parrot.asked == [(item["text"], 3, {"steps": 4}) for item in written["items"]]
    assert {"sentences", "words", "unknown_words", "sources"} <= written["domain_model"].keys()
    assert {"device", "threads", "versions"} <= written["machine"].keys()
    assert sorted(entry.name for entry in folder.parent.iterdir()) == ["report", "sources"]


def test_a_parrot_is_as_good_as_the_recordings(report):
    for figures in (report, report["resynthesis"]):
        assert figures["wer"] == figures["wer_recordings"] and figures["wer_above_recordings"] == 0
        assert figures["spectrum_db"] < 0.05 and figures["cepstral_db"] < 0.3 and figures["duration_ratio"] == 1.0
        assert figures["times_real_time"] == pytest.approx(1 / figures["rtf"])
        assert figures["seconds"] == pytest.approx(2.4)
    one = report["items"][0]
    assert one["heard"] == one["recording"]["heard"] and one["wer"] == one["recording"]["wer"]
    # "buzz" has two recordings, "hum" one: its own value cannot be taken.
    assert [item["recording"]["speaker_similarity"] is None for item in report["items"]] == [False, False, True]
    assert report["speaker_similarity_recordings"] > 0.9


def test_the_true_listener_hears_recording_and_copy_alike(parrot, data, tmp_path):
    report = evaluate(parrot, data, tmp_path / "report", task="say", limit=1)
    item, recording = report["items"][0], report["items"][0]["recording"]
    # Only the domain judge is stable enough: the general one flips on what resampling rounds in a clip of noise.
    assert item["heard"] == recording["heard"]
    assert isinstance(item["heard_general"], str)
    assert report["wer"] == report["wer_recordings"] > 0 and report["domain_model"]["sentences"] == 3 + 1111


def test_the_page_stands_alone_and_names_what_is_there(evaluated):
    folder = evaluated[1]
    page = (folder / "index.html").read_text(encoding="utf-8")
    links = Links(page)
    assert len(links.sources) == 3 * 3 * 2 and links.scripts == 1
    assert all((folder / source).is_file() for source in links.sources)
    assert links.targets and all(target.startswith("#") and target[1:] in links.names for target in links.targets)
    assert not re.search(r"https?://|@import|url\(", page)
    assert page.count("<svg") == 5 and "NaN" not in page and "None" not in re.sub("<p>None.</p>", "", page)


def test_text_from_outside_stays_text(report):
    item = report["items"][0] | {"text": 'A <script>alert("x")</script> & more', "speaker": '"><b>'}
    page = render_page(report | {"items": [item], "model": "<i>"})
    assert Links(page).scripts == 1 and "<script>alert" not in page and '"><b>' not in page and "<h1><i>" not in page


@pytest.mark.usefixtures("quick")
def test_failures_are_listed_and_counted(parrot, data, tmp_path, failing):
    parrot.change = failing("fox")
    report = evaluate(parrot, data, tmp_path / "report", task="say")
    assert "resynthesis" not in report
    broken = next(failure for failure in report["failures"] if "error" in failure["kinds"])
    assert broken["index"] == 1 and broken["error"] == "step 3 gave NaN: lower the guidance"
    item = report["items"][1]
    assert item["audio"] is None and item["wer"] == 1.0 and item["seconds"] == 0 and item["truncated"] == 5
    assert report["failed"] >= 1 and report["failures_per_1000"] == pytest.approx(1000 * report["failed"] / 3)
    assert not (tmp_path / "report" / "audio" / "0001-say.wav").exists()
    assert "step 3 gave NaN" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.usefixtures("quick")
def test_silent_empty_and_long_sounds_fail(parrot, data, tmp_path):
    changes = {"Hello": np.zeros_like, "fox": lambda x: x[:0], "dog": lambda x: np.tile(x, 3)}
    parrot.change = lambda text, x: next(change for word, change in changes.items() if word in text)(x)
    report = evaluate(parrot, data, tmp_path / "report", task="say")
    kinds = [item["failures"] for item in report["items"]]
    assert kinds[:2] == [["no sound"], ["no sound"]] and "too long" in kinds[2]
    assert report["failures_by_kind"]["no sound"] == 2 and report["wer_over_half"] >= 2


@pytest.mark.usefixtures("quick")
def test_when_nothing_works_the_error_is_raised_and_nothing_is_left(parrot, data, tmp_path, failing):
    parrot.change = failing("")
    with pytest.raises(GenerationError, match="step 3"):
        evaluate(parrot, data, tmp_path / "report")
    assert [entry.name for entry in tmp_path.iterdir()] == ["sources"]


@pytest.mark.usefixtures("quick")
def test_other_languages_are_measured_without_listening(parrot, data, tmp_path):
    metadata = data / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("|en|", "|de|"))
    report = evaluate(parrot, data, tmp_path / "report", limit=2)
    assert report["wer"] is None and report["wer_recordings"] is None and report["spectrum_db"] < 0.05
    assert report["failed"] == 0 and "heard" not in report["items"][0]
    assert "English only" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"task": "sing"}, InputError, "task is 'sing'"),
        ({"limit": 0}, InputError, "limit is 0"),
        ({"seed": -1}, InputError, "seed is -1"),
        ({"workers": 0}, InputError, "workers is 0"),
        ({"voice": "kathleen"}, InputError, "is a name"),
        ({"speakers": "nobody"}, DataError, "nobody"),
        ({"data": "nowhere"}, DataError, "nowhere does not exist"),
        ({"domain": "nowhere.txt"}, DataError, r"nowhere\.txt"),
        ({"output": "no/report"}, InputError, "does not exist"),
    ],
)
def test_bad_arguments_are_one_sentence_before_any_work(
    parrot, data, tmp_path, monkeypatch, arguments, error, sentence
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=sentence) as caught:
        evaluate(**({"model": parrot, "data": data, "output": "report"} | arguments))
    assert "\n" not in str(caught.value) and parrot.asked == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["sources"]


def test_the_data_folder_is_no_place_for_the_report(parrot, data):
    with pytest.raises(InputError, match="not empty"):
        evaluate(parrot, data, data)


@pytest.mark.usefixtures("quick")
def test_a_model_by_name_speaks_with_a_ready_voice(tiny_folder, data, tmp_path):
    report = evaluate(tiny_folder, data, tmp_path / "report", limit=1, voice="someone", device="cpu", steps=1)
    assert (report["model"], report["family"], report["voice"]) == ("tiny", "tada", "someone")
    assert report["options"] == {"steps": 1} and report["resynthesis"]["duration_ratio"] == pytest.approx(1, abs=0.03)


@pytest.mark.slow
def test_several_workers_give_the_same_report(parrot, data, tmp_path):
    reports = [evaluate(parrot, data, tmp_path / f"r{n}", workers=n, limit=2, task="say") for n in (1, 2)]
    timing = {"compute_seconds", "rtf", "rtf_median", "times_real_time"}

    def untimed(value):
        if isinstance(value, dict):
            return {key: untimed(each) for key, each in value.items() if key not in timing}
        return [untimed(each) for each in value] if isinstance(value, list) else value

    assert untimed(reports[0]) == untimed(reports[1])


def test_importing_asks_for_no_optional_package():
    assert callable(unisono.evaluate.evaluate)
    with pytest.raises(AttributeError):
        unisono.evaluate.nothing  # noqa: B018


def test_recordings_are_judged_as_judge_py_does(shared, parrot, tmp_path):
    """The corpus word error rate of three clips is that of `judge.py wer` on the same list."""
    import subprocess
    import sys

    source = shared / "speech" / "kathleen_en"
    lines = (source / "metadata.csv").read_text().splitlines()
    chosen = sorted(lines[1:], key=lambda line: float(line.split("|")[-1]))[40:43]
    folder = tmp_path / "three"
    folder.mkdir()
    (folder / "metadata.csv").write_text("\n".join([lines[0], *(f"{source}/{line}" for line in chosen)]))
    rows = [{"audio": f"{source}/{line.split('|')[0]}", "text": line.split("|")[1]} for line in chosen]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-W", "ignore", shared / "judge.py", "wer", tmp_path / "list.jsonl"]
    judged = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    domain = sorted(path.parent for path in (shared / "speech").glob("*/metadata.csv"))
    report = evaluate(parrot, folder, tmp_path / "report", task="resynthesis", domain=domain)
    assert report["wer_recordings"] == pytest.approx(judged, abs=5e-5)
