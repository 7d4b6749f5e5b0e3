"""What becomes a corpus: layouts of sources, and one sentence for each that cannot be read."""

import json

import pytest

from unisono.errors import DataError, UnisonoError
from unisono.train.prepare import SourceClip, prepare, read_source
from unisono.train.run import run

HEAD = "file|text|speaker|language|seconds\n"
ROW = "audio/a.wav|Hello there.|anna|en|1\n"


def source(folder, content, name="metadata.csv"):
    """A folder with a manifest of so many bytes; a manifest of another name is the source itself."""
    folder.mkdir()
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder if name == "metadata.csv" else folder / name


@pytest.mark.parametrize(
    "content", [HEAD + ROW, "\ufeff" + HEAD + ROW, (HEAD + ROW).replace("\n", "\r\n"), HEAD + "\n" + ROW]
)
def test_marks_at_the_beginning_and_line_ends_of_any_system(tmp_path, content):
    folder = source(tmp_path / "data", content)
    assert read_source(folder) == [SourceClip(str(folder / "audio/a.wav"), "Hello there.", "anna")]


def test_texts_keep_what_only_unicode_takes_for_line_breaks(tmp_path):
    folder = source(tmp_path / "data", HEAD + ROW.replace("Hello there.", "Hello\u2028there\x0c."))
    assert [clip.text for clip in read_source(folder)] == ["Hello\u2028there\x0c."]
    line = json.dumps({"audio": "a.wav", "text": "Hello\u2028there."}, ensure_ascii=False)
    assert [clip.text for clip in read_source(source(tmp_path / "more", line, "a.jsonl"))] == ["Hello\u2028there."]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("metadata.csv", "", "no recording in"),
        ("metadata.csv", HEAD, "no recording in"),
        ("metadata.csv", HEAD + "a.wav||anna|en|1\n", "row 1 has no text"),
        ("metadata.csv", HEAD + "a.wav|Hi.|anna|en|1|6\n", "row 1: 6 fields"),
        ("metadata.csv", HEAD + "a.wav|Hi.\n", "row 1: 2 fields"),
        ("metadata.csv", (HEAD + "a.wav|caf\xe9|anna|en|1\n").encode("latin-1"), "save it as UTF-8"),
        ("metadata.csv", (HEAD + ROW).encode("utf-16"), "save it as UTF-8"),
        ("metadata.csv", HEAD + "a.wav|" + "a" * 140_000 + "|anna|en|1\n", "field larger"),
        ("a.jsonl", "", "no recording in"),
        ("a.jsonl", "5\n", "line 1: expected JSON"),
        ("a.jsonl", '{"audio": "a.wav", "text": 5}\n', "line 1: audio, text"),
        ("a.jsonl", '{"audio": "a.wav", "text": "\\ud800"}\n', "line 1: audio, text"),
        ("a.jsonl", '{"audio": "a.wav", "text": "Hi.", "speaker": ["anna"]}\n', "line 1: audio, text"),
        ("a.jsonl", "[" * 100_000 + "\n", "line 1: expected JSON"),
        ("a.jsonl", b"\xff\n", "save it as UTF-8"),
    ],
    ids=range(15),
)
def test_sources_that_cannot_be_read(tmp_path, name, content, says):
    given = source(tmp_path / "data", content, name)
    with pytest.raises(DataError, match=says) as caught:
        prepare(str(given), str(tmp_path / "shards"))
    assert str(caught.value).isprintable() and not (tmp_path / "shards").exists()


@pytest.mark.parametrize(
    ("recipe", "options", "says"),
    [
        ("sources: [{data}]\nstages: [{{stage: aligner}}]\n", {}, "no recording in"),
        ("sources: [{data}]\nstages: [{{stage: aligner}}]\n", {"max_steps": 0}, "most steps"),
        ("[" * 5000, {}, "cannot read the recipe"),
    ],
)
def test_a_run_that_cannot_begin_leaves_nothing(tmp_path, recipe, options, says):
    (tmp_path / "r.yaml").write_text(recipe.format(data=source(tmp_path / "data", HEAD)))
    with pytest.raises(UnisonoError, match=says):
        run(str(tmp_path / "r.yaml"), output=str(tmp_path / "new" / "run"), **options)
    assert not (tmp_path / "new").exists()
