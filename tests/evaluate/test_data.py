"""Reading what is to be evaluated."""

import json

import numpy as np
import pytest

from unisono.errors import AudioError, DataError, InputError
from unisono.evaluate.data import PROMPTS, choose, read_data, read_sentences

RATE = 24000


def write_corpus(folder, splits=("heldout", "train", "heldout"), version=1):
    """What `unisono prepare` writes, as far as evaluating needs it."""
    folder.mkdir()
    rows, waves = [], []
    for index, split in enumerate(splits):
        wave = (3000 * np.sin(np.arange(4800 + 10 * index) / 9)).astype(np.int16)
        row = {"audio": f"/x/{index}.flac", "text": f"Sentence number {index}.", "language": "en", "shard": 0}
        row |= {"speaker": "kathleen" if index else "slt", "offset": sum(map(len, waves)), "samples": len(wave)}
        rows.append(row | {"pitch_offset": 0, "split": split})
        waves.append(wave)
    (folder / "audio-0000.i16").write_bytes(np.concatenate(waves).tobytes())
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "corpus.json").write_text(json.dumps({"version": version, "sample_rate": RATE}))
    return folder


def test_a_folder_gives_all_its_rows_and_its_neighbours_sentences(data):
    other = data.parent / "other"
    other.mkdir()
    (other / "metadata.csv").write_text("file|text|speaker|language|seconds\nx|A neighbour.|n|en|1\ny|Hallo.|n|de|1\n")
    found = read_data(data)
    assert [item.name for item in found.items] == ["a.wav", "b.wav", "c.wav"]
    assert found.domain == [*(item.text for item in found.items), "A neighbour."]
    assert found.items[0].read().sample_rate == 16000
    assert [item.speaker for item in read_data(data, ["hum"]).items] == ["hum"]
    assert read_data(data, domain=[other]).domain == ["A neighbour."]


def test_a_folder_alone_is_judged_among_the_packaged_sentences(data):
    """Three sentences alone would be a closed list, from which the judge guesses right whatever it hears."""
    found = read_data(data)
    assert found.sources == [str(data / "metadata.csv"), str(PROMPTS)]
    assert set(found.domain) > {item.text for item in found.items}
    prompts = read_sentences(PROMPTS)
    assert len(prompts) == len(set(prompts)) == 1111 and all(prompts) and prompts == sorted(prompts)
    assert PROMPTS.suffix == ".gz" and read_data(data, domain=[PROMPTS]).domain == prompts


def test_a_corpus_gives_its_held_out_clips(tmp_path):
    found = read_data(write_corpus(tmp_path / "corpus"))
    assert [item.text for item in found.items] == ["Sentence number 0.", "Sentence number 2."]
    assert len(found.domain) == 3
    audio = found.items[1].read()
    assert audio.sample_rate == RATE and len(audio.samples) == 4820
    assert audio.samples[:3] == pytest.approx(3000 * np.sin(np.arange(3) / 9) / 32767, abs=1e-4)
    only = read_data(tmp_path / "corpus", ["kathleen"])
    assert [item.speaker for item in only.items] == ["kathleen"] and len(only.domain) == 2


def test_sentences_come_from_text_files_too(tmp_path):
    (tmp_path / "s.txt").write_text("One.\n\n Two. \n")
    assert read_sentences(tmp_path / "s.txt") == ["One.", "Two."]
    assert len(read_sentences(write_corpus(tmp_path / "corpus"))) == 3
    with pytest.raises(DataError, match=r"none\.txt"):
        read_sentences(tmp_path / "none.txt")


def test_a_limit_spreads_over_the_data(data):
    items = read_data(data).items
    assert choose(items, None) == items and choose(items, 9) == items
    assert [item.name for item in choose(items, 2)] == ["a.wav", "b.wav"]
    assert [items.index(item) for item in choose(items * 1, 1)] == [0]
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="limit"):
            choose(items, wrong)


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ("", "wanted is file"),
        ("id|words\n", "wanted is file"),
        ("file|text|speaker|language|seconds\n", "no rows"),
        ("file|text|speaker|language|seconds\na.wav|Hello\n", "line 2 has 2 fields"),
        ("file|text|speaker|language|seconds\na.wav|  |buzz|en|1\n", "line 2 has no text"),
        ("file|text|speaker|language|seconds\nz.wav|Hello|buzz|en|1\n", "line 2 names z.wav"),
        (b"file|text\n\xff\xfe|x\n", "UTF-8"),
    ],
)
def test_damaged_metadata_is_one_sentence(data, metadata, sentence):
    (data / "metadata.csv").write_bytes(metadata if isinstance(metadata, bytes) else metadata.encode())
    with pytest.raises(DataError, match=sentence) as caught:
        read_data(data)
    assert "\n" not in str(caught.value)


def test_other_unusable_data(data, tmp_path):
    (tmp_path / "empty").mkdir()
    for path, sentence in (
        (tmp_path / "none", "does not exist"),
        (data / "a.wav", "is a file"),
        (tmp_path / "empty", "neither"),
    ):
        with pytest.raises(DataError, match=sentence):
            read_data(path)
    with pytest.raises(DataError, match="no recordings of nobody"):
        read_data(data, ["nobody"])
    (data / "a.wav").write_text("text, not sound")
    with pytest.raises(AudioError, match=r"a\.wav"):
        read_data(data).items[0].read()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "clips.jsonl").unlink(), "damaged"),
        (lambda folder: (folder / "clips.jsonl").write_text('{"text": "x"}\n'), "line 1 lacks"),
        (lambda folder: (folder / "corpus.json").write_text('{"version": 2, "sample_rate": 1}'), "version 2"),
        (lambda folder: (folder / "corpus.json").write_text("[]"), "damaged"),
        (lambda folder: (folder / "audio-0000.i16").write_bytes(b"12"), "cut short"),
    ],
)
def test_damaged_corpora_are_one_sentence(tmp_path, change, sentence):
    folder = write_corpus(tmp_path / "corpus")
    change(folder)
    with pytest.raises(DataError, match=sentence):
        read_data(folder)


def test_a_corpus_that_holds_nothing_out(tmp_path):
    with pytest.raises(DataError, match="holds nothing out"):
        read_data(write_corpus(tmp_path / "corpus", splits=("train", "train")))
