"""What the commands have in common: standard streams, outputs that come together, reports, errors as one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from unisono.errors import InputError, UnisonoError, UnisonoWarning
from unisono.families.controls import CONTROLS, Control, sentence
from unisono.files.outputs import STANDARD, all_or_none, check_output

if TYPE_CHECKING:
    from unisono.interface import Audio, Speech, Voice, Word
    from unisono.speak import Spoken

FAILED = 2  # exit code of everything a user can cause
INTERRUPTED = 130
LONGEST_NAME = 255  # characters of a file's name that is looked for
LONG_SPEECH = 60  # seconds; speech as long as this is announced
SHOWN_WORDS = 40  # word times printed; --words writes all


def run(app: Callable[..., Any], argv: Sequence[str] | None) -> int:
    """Run a typer application and return the exit code; whatever a user caused is one line on stderr."""
    with warnings.catch_warnings(), _open_streams():
        _be_quiet()
        return _run(app, argv)


@contextmanager
def _open_streams() -> Iterator[None]:
    """Standard streams that are closed are empty and swallow all; ASCII ones write what they lack as escapes."""
    with ExitStack() as stack:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:
                stream = stack.enter_context(open(os.devnull, mode, encoding="utf-8"))
                setattr(sys, name, stream)
                stack.callback(setattr, sys, name, None)
        if hasattr(sys.stdout, "reconfigure"):
            kept = sys.stdout.errors
            sys.stdout.reconfigure(errors="backslashreplace")
            stack.callback(sys.stdout.reconfigure, errors=kept)
        yield


def _run(app: Callable[..., Any], argv: Sequence[str] | None) -> int:
    try:
        result = app(args=argv, prog_name="unisono", standalone_mode=False)
        sys.stdout.flush()
        if result == INTERRUPTED:  # typer has caught it
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except UnisonoError as problem:
        return _fail(str(problem))
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # whoever read our output has seen enough
        _drop_stdout()
        return 0
    except OSError as problem:
        _drop_stdout()
        return _fail(f"{problem.filename or 'the system'}: {problem.strerror or problem}")
    except Exception as problem:
        # typer's own errors, whose class is not public in every version; all else is a bug and keeps its traceback.
        if (format_message := getattr(problem, "format_message", None)) is None:
            raise
        place = getattr(getattr(problem, "ctx", None), "command_path", "unisono")
        return _fail(f"{format_message().rstrip('.')} (see {place} --help)")


def _fail(sentence: str, code: int = FAILED) -> int:
    """One line on stderr."""
    print(f"unisono: {_one_line(sentence)}", file=sys.stderr)
    return code


def _one_line(sentence: str) -> str:
    """A sentence fit for a terminal, without line breaks."""
    return printable(" ".join(sentence.split()))


def printable(text: str) -> str:
    """A text fit for a terminal: what a terminal would obey, such as ESC, is written out; lines stay."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _drop_stdout() -> None:
    """If what is still buffered can go nowhere, Python shall not complain about that once more at its exit."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):  # a stream of a test, without a file below it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _be_quiet() -> None:
    """Libraries shall not write between our lines; SIGTERM shall clean up like an interrupt."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    warnings.simplefilter("always", UnisonoWarning)
    warnings.showwarning = _show_warning
    with suppress(ValueError):  # outside of the main thread, as in some tests
        signal.signal(signal.SIGTERM, _stop)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **rest: Any) -> None:
    """Ours are one line without the place in the code that Python shows; others come only where -W asks for them."""
    if issubclass(category, UnisonoWarning):
        print(f"unisono: warning: {_one_line(str(message))}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, *place[:2]), end="", file=sys.stderr)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def with_controls(command: Callable[..., None]) -> Callable[..., None]:
    """A decorator: a command that ends in `**controls` gets a flag for every control of generation."""
    own = [part for part in signature(command, eval_str=True).parameters.values() if part.kind != Parameter.VAR_KEYWORD]
    flags = [_flag(control) for control in CONTROLS]

    def run_command(**given: Any) -> None:
        command(**{name: value for name, value in given.items() if name not in names or value is not None})

    names = {flag.name for flag in flags}
    run_command.__doc__ = command.__doc__
    run_command.__name__ = command.__name__
    run_command.__signature__ = signature(command).replace(parameters=[*own, *flags])  # type: ignore[attr-defined]
    run_command.__annotations__ = {part.name: part.annotation for part in (*own, *flags)}
    return run_command


def _flag(control: Control) -> Parameter:
    """The flag of a control; None where a user does not give it."""
    option = typer.Option(help=sentence(control), show_default=False)
    annotation = Annotated[control.kind | None, option]
    return Parameter(control.name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def given_text(pieces: Sequence[str] | None, default: str = "") -> str:
    """The text of a command: its arguments joined, standard input for a lone "-", or `default` without any.

    Raises:
        InputError: standard input that is not UTF-8; the name of a file in place of a text.
    """
    if not pieces:
        return default
    if list(pieces) != [STANDARD]:
        _refuse_file(pieces)
        return " ".join(pieces)
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("standard input is not UTF-8 text: convert it first") from None


def _refuse_file(pieces: Sequence[str]) -> None:
    """Raise InputError for the name of a file that is there: nobody wants to hear "notes dot T X T"."""
    name = pieces[0]
    if len(pieces) > 1 or not Path(name).suffix[1:].isalnum() or len(name) > LONGEST_NAME or "\0" in name:
        return
    if os.path.isfile(name):
        raise InputError(f"{name} is a file, and a text was expected: to hear what it says, give - < {name}")


def check_outputs(*wanted: tuple[str | None, Callable[[str], None]]) -> None:
    """Refuse outputs that could not be written, before any work is done.

    Args:
        wanted: pairs of a file name (None = not asked for) and the check of its kind.

    Raises:
        UnisonoError: as the check has it; InputError when two outputs are the same.
    """
    seen: set[str] = set()
    for path, check in wanted:
        if path is None:
            continue
        check(path)
        if path == STANDARD and getattr(sys.stdout, "name", "") == os.devnull:
            raise InputError("standard output is closed: name a file to write")
        place = path if path == STANDARD else os.path.realpath(path)
        if place in seen:
            raise InputError(f"two outputs are both {path}: give each its own name")
        seen.add(place)


def write_outputs(*wanted: tuple[str | None, Callable[[str], None]]) -> None:
    """Write several outputs together: when a later one fails, no earlier one is left behind.

    Args:
        wanted: pairs of a file name (None = not asked for) and what writes it; "-" comes last, when all else is there.
    """
    files = [(path, write) for path, write in wanted if path not in (None, STANDARD)]
    with all_or_none([path for path, _ in files]) as temporary:
        for name, (_, write) in zip(temporary, files, strict=True):
            write(str(name))
    for path, write in wanted:
        if path == STANDARD:
            write(STANDARD)


@contextmanager
def writing(
    sound: str, words: str | None, plot: str | None
) -> Iterator[tuple[Callable[[Audio], None], Callable[[Speech], None]]]:
    """A function that writes pieces of sound as they come, and one that writes what follows from the whole speech.

    All outputs come into being together at the end, or not at all; sound for standard output waits in a file till then.
    """
    from unisono.audio import SoundWriter
    from unisono.errors import AudioError

    names = [name for name in (sound, words, plot) if name not in (None, STANDARD)]
    with tempfile.TemporaryDirectory(prefix="unisono-") as folder, all_or_none(names, AudioError) as temporary:
        places = dict(zip(names, map(str, temporary), strict=True))
        held = places.get(sound, os.path.join(folder, "sound.wav"))

        def finish(speech: Speech) -> None:
            writer.close()
            if words is not None and words != STANDARD:
                speech.save_words(places[words])
            if plot is not None:
                speech.plot(places[plot])
            if words == STANDARD:
                speech.save_words(STANDARD)
            if sound == STANDARD:
                with open(held, "rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer)
                sys.stdout.buffer.flush()

        with SoundWriter(held) as writer:
            yield writer.write, finish


def check_sound_path(path: str) -> None:
    """Raise AudioError for a sound file that could not be written."""
    from unisono.audio import suffixes
    from unisono.errors import AudioError

    check_output(path, suffixes(), AudioError)


def check_tensor_path(path: str) -> None:
    """Raise CheckpointError for a token file that could not be written."""
    from unisono.errors import CheckpointError

    if path == STANDARD:
        raise CheckpointError("a token file cannot go to standard output: name a .safetensors file")
    check_output(path, (".safetensors",), CheckpointError)


def check_picture_path(path: str) -> None:
    """Raise InputError for a picture that could not be written."""
    from unisono.plot import check_plot_path

    if path == STANDARD:
        raise InputError("a picture cannot go to standard output: name a .png file")
    check_plot_path(path)


def check_json_path(path: str) -> None:
    """Raise InputError for a file of figures that could not be written."""
    check_output(path, (".json",))


def json_writer(report: Mapping[str, Any]) -> Callable[[str], None]:
    """What writes a report to a file name, or to standard output for "-"."""

    def write(path: str) -> None:
        text = json.dumps(report, indent=2, allow_nan=False) + "\n"
        if path == STANDARD:
            sys.stdout.write(text)
        else:
            Path(path).write_text(text, encoding="utf-8")

    return write


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """A function that shows what is being done on one line of stderr, if that is a terminal; wiped in the end."""
    if not sys.stderr.isatty():
        yield lambda line: None
        return
    try:
        yield lambda line: print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
    finally:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def report_stream(*outputs: str | None) -> TextIO:
    """Where a report goes: stdout, or stderr when an output occupies stdout."""
    return sys.stderr if STANDARD in outputs else sys.stdout


def report_spoken(spoken: Spoken, path: str, stream: TextIO) -> None:
    """Text without its control tags, length, speed and word times of a speech."""
    from unisono.text.script import show

    speech = spoken.speech
    place = "standard output" if path == STANDARD else path
    print(printable(show(speech.text)[0].text.strip()), file=stream)
    print(
        f"{place}: {speech.duration:.2f} s of speech in {spoken.seconds:.2f} s "
        f"(RTF {spoken.rtf:.3f}, {spoken.times_real_time:.1f} × real time)",
        file=stream,
    )
    for number, scores in enumerate(speech.speaker_scores, 1):
        takes = ", ".join(f"{score:.2f}" for score in scores)
        print(f"sentence {number}: speaker score {max(scores):.2f} (takes: {takes})", file=stream)
    report_words(speech, stream)


def report_words(speech: Speech, stream: TextIO) -> None:
    """A table of word times in seconds."""
    for line in word_lines(speech.words):
        print(line, file=stream)


def word_lines(words: Sequence[Word]) -> Iterator[str]:
    """Start, end and text of each word; the middle of long lists is left out."""
    for index, word in enumerate(words):
        if len(words) > SHOWN_WORDS and index == SHOWN_WORDS // 2:
            yield f"  ... {len(words) - SHOWN_WORDS + 1} more; a words file holds all"
        if len(words) <= SHOWN_WORDS or not SHOWN_WORDS // 2 <= index <= len(words) - SHOWN_WORDS // 2:
            yield f"{word.start:8.2f} {word.end:8.2f}  {printable(word.text)}"


def pace_of(voice: Voice | None, speed: float = 1.0) -> float:
    """Seconds of a token as a voice speaks; 0.0 where there is none, or a speed that will be refused."""
    if voice is None or not len(voice.tokens.text_ids) or speed <= 0:
        return 0.0
    return voice.tokens.samples / voice.tokens.sample_rate / len(voice.tokens.text_ids) / speed


@contextmanager
def progress_bar(unit: str, pace: float = 0.0) -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) that draws a bar with the time left on stderr, if that is a terminal.

    Args:
        pace: seconds of speech that a unit is, about; long speech is announced with it before it begins.
    """
    from tqdm import tqdm

    with tqdm(unit=unit, file=sys.stderr, disable=None, leave=False, dynamic_ncols=True) as bar:

        def show(done: int, total: int) -> None:
            if bar.total is None and total * pace > LONG_SPEECH and not bar.disable:
                line = f"{total} {unit}s, about {total * pace / 60:.0f} minutes of speech; Ctrl-C leaves no file behind"
                bar.write(line, file=sys.stderr)
            bar.total = total
            bar.update(done - bar.n)

        yield show


def print_table(rows: Sequence[Sequence[str]], stream: TextIO | None = None) -> None:
    """Columns as wide as their widest entry, the last one free."""
    rows = [[_one_line(entry) for entry in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True))
        print(line.rstrip(), file=stream or sys.stdout)


def report_evaluation(report: Mapping[str, Any], folder: str) -> None:
    """The figures of an evaluation, one a line."""
    rows = [(name, _shown(value)) for name, value in report.items() if isinstance(value, int | float | str)]
    print_table([*rows, ("failures", str(len(report.get("failures", ())))), ("report", f"{folder}/index.html")])


def _shown(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def report_transcript(text: str, stream: TextIO | None = None) -> None:
    """What a recogniser heard, for the user to check."""
    print(f"heard: {_one_line(text)}", file=stream or sys.stdout)
