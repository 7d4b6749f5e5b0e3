"""What the command line says: in its own words, fit for a terminal, and no more than is wanted."""

import io
import sys

import pytest

from unisono import console
from unisono.cli import main
from unisono.interface import Speech, Word
from unisono.speak import Spoken


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys, tiny_folder):
    """Runs a command with the tiny model that must be refused; what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("unisono.hub.builtin_folder", lambda: tiny_folder)

    def call(*words) -> str:
        assert main([str(word) for word in words]) == 2
        out, error = capsys.readouterr()
        assert out == "" and error.count("\n") == 1
        return error

    return call


def test_a_recording_without_words_names_the_options(refused, recording):
    assert "--voice-text" in (said := refused("say", "Hello.", "--voice", recording)) and "--asr" in said
    assert "--text" in (said := refused("voice", "add", "me", recording)) and "--voice-text" not in said
    for option in ("--voice-text", "--asr"):
        assert option in refused("say", "Hello.", option, "pocketsphinx")


def test_an_edit_of_nothing_names_the_options(refused, recording, transcript):
    said = refused("edit", recording, "--text", transcript)
    assert all(option in said for option in ("--replace", "--delete", "--insert-after"))


def test_the_name_of_a_file_is_no_text(refused, tmp_path):
    (tmp_path / "notes.txt").write_text("Hello.")
    assert "- < notes.txt" in refused("say", "notes.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_what_is_no_file_is_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello").write_text("")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "folder.d").mkdir()
    for pieces in (["hello"], ["notes.md"], ["see notes.txt"], ["notes.txt", "is"], ["folder.d"], ["Stop."], ["a\0.b"]):
        assert console.given_text(pieces) == " ".join(pieces)


def test_nothing_that_a_terminal_obeys_is_printed(capsys):
    console.print_table([("name\x1b[2J", "a\x07"), ("b\nc", "\x9b31m")])
    console.report_transcript("he\x1b[31mard\n it")
    words = [Word("\x1b[1mHi", 0.0, 0.5)]
    console.report_spoken(Spoken(Speech([0.0] * 10, 10, "\x1b[1mHi\nthere", words, []), 1.0), "a.wav", sys.stdout)
    printed = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in printed)
    assert "name\\x1b[2J" in printed and "b c" in printed and "\\x1b[1mHi\nthere" in printed


def test_control_tags_are_not_printed(capsys):
    text = "Well, [pause:1s] [say:naɪki|Nike] [rate:2]is[/rate] here [sic]. [S1] \\[pause:1s]"
    console.report_spoken(Spoken(Speech([0.0] * 10, 10, text, [], []), 1.0), "a.wav", sys.stdout)
    assert capsys.readouterr().out.startswith("Well, Nike is here [sic]. [S1] [pause:1s]\n")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("total", "pace", "terminal", "announced"),
    [(6000, 0.1, True, True), (100, 0.1, True, False), (6000, 0.0, True, False), (6000, 0.1, False, False)],
)
def test_long_speech_is_announced_before_it_begins(monkeypatch, total, pace, terminal, announced):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with console.progress_bar("token", pace) as progress:
        for done in (1, 2, total):
            progress(done, total)
    said = stream.getvalue()
    assert said.count("about 10 minutes of speech") == announced and (terminal or said == "")
    assert not announced or said.index(f"{total} tokens") < said.index("minutes")


def test_a_model_says_what_it_is(tiny_model):
    assert (
        repr(tiny_model).count("\n") == 0 and tiny_model.name in repr(tiny_model) and ".say(text)" in repr(tiny_model)
    )
    assert console.pace_of(tiny_model.default_voice) > 2 * console.pace_of(tiny_model.default_voice, speed=2.1) > 0
    assert console.pace_of(None) == console.pace_of(tiny_model.default_voice, 0.0) == 0
