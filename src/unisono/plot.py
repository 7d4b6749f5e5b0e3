"""Pictures of alignments: waveform and words, mel spectrogram and marks, tokens and gaps, in rows of some seconds.

Axes: N samples, M mel frames of 10 ms, F mel bands, P pixel columns.
matplotlib is imported when something is drawn, and through `Figure`, so that no global state or display is touched.
"""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unisono.errors import InputError
from unisono.files import check_output, replacing
from unisono.interface import Speech, Word

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")
FRAME_SECONDS = 1 / 50
WIDTH_INCHES, DPI = 16.0, 100  # 1600 pixels
ROW_INCHES, TITLE_INCHES = 3.6, 0.55
LEFT, RIGHT = 0.038, 0.987  # the panels' edges as parts of the width
# Panels of a row from top to bottom, as parts of its height; what is left is the room to the next row.
WORDS_PART, MEL_PART, TOKENS_PART = 0.34, 0.34, 0.22
LONGEST_ROW, SHORTEST_ROW, SHORTEST_SPAN = 8.0, 4.0, 0.5  # seconds
TOKEN_PIXELS = 17  # of room for a token, on average; crowded speech gets shorter rows
MOST_ROWS = 24  # longer sounds get longer rows, and fewer labels
EARLIEST_BREAK = 0.75  # of a row; from there on it may end in the longest pause between words
MARGIN_PIXELS = 3
# Heights of the lanes of labels as parts of their panel; crowded rows get more lanes and a lower waveform.
WORD_LANES, CROWDED_LANES = (0.8, 0.93), (0.61, 0.72, 0.83, 0.94)
TICK_FOOT, LEADER_FOOT, TOKEN_LANE, GAP_LANE = 0.9, 0.74, 0.6, 0.27
CLOSEST_MARKS = 6  # pixels between lines over the spectrogram, on average; nearer ones would hide it
WORD_SIZE, TOKEN_SIZE, GAP_SIZE = 10, 9, 7.5  # points
LONGEST_TITLE = 110  # characters of the text
INK, GREY, FAINT, GAP_INK, MARK = "#30343b", "#6b7079", "#b0b4bb", "#8a5a00", "#ffffff"
WORD_COLOURS = ("#3b76b8", "#d9822b")
KILOHERTZ = (0.5, 1, 2, 4, 8)  # on the spectrogram's axis
LEGEND = "ticks and white lines: marks, one a token   ·   gap: frames of 20 ms since the mark before"
# Drawn in this order where a letter is missing; only installed ones are used.
FALLBACK_FONTS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Arabic", "WenQuanYi Zen Hei", "Arial Unicode MS")


class Label(NamedTuple):
    """A text to be centred on `time` seconds."""

    text: str
    time: float


def plot_speech(speech: Speech, path: str | Path) -> None:
    """Draw waveform, mel spectrogram, token marks, words and gaps to a picture 1600 pixels wide.

    Args:
        path: the suffix picks PNG, JPEG, SVG or PDF.

    Raises:
        InputError: unknown suffix, a file that cannot be written, or a speech without sound.
    """
    check_plot_path(path)
    if not len(speech.audio):
        raise InputError("there is no sound to draw: the speech is empty")
    figure = draw_speech(speech)
    with replacing(path) as temporary, warnings.catch_warnings():
        # Letters that no installed font has are drawn as boxes, which shows the problem better than a warning.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, dpi=DPI, format=Path(path).suffix.lower().lstrip("."))


def check_plot_path(path: str | Path) -> None:
    """Refuse, before any work is done, a picture that `plot_speech` could not write. Raises InputError."""
    check_output(path, SUFFIXES)


def draw_speech(speech: Speech) -> Figure:
    """The picture as a matplotlib figure: rows of some seconds, each a block of three panels."""
    from matplotlib import font_manager
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    installed = set(font_manager.get_font_names())
    families = ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in installed)]
    span = _row_span(speech)
    rows = break_rows(speech.duration, span, [(word.start, word.end) for word in speech.words])
    height = len(rows) * ROW_INCHES + TITLE_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    pen = _Pen(
        canvas.get_renderer().get_text_width_height_descent, families, (RIGHT - LEFT) * WIDTH_INCHES * DPI / span
    )
    mel = _mel_db(speech)
    unit = ROW_INCHES / height
    for index, window in enumerate(rows):
        top = 1 - (TITLE_INCHES + index * ROW_INCHES) / height
        for part, draw in (
            (WORDS_PART, _draw_words),
            (MEL_PART, lambda axes, *given: _draw_mel(axes, mel, *given)),
            (TOKENS_PART, _draw_tokens),
        ):
            top -= part * unit
            draw(_panel(figure, top, part * unit, window, span), speech, pen)
    _draw_title(figure, speech, pen, 1 - 0.2 / height, 1 - 0.44 / height)
    return figure


def _draw_title(figure: Figure, speech: Speech, pen: _Pen, high: float, low: float) -> None:
    """The text at height `high`; counts and legend at `low`."""
    shown = textwrap.shorten(speech.text, LONGEST_TITLE, placeholder=" …")
    counts = f"words: {len(speech.words)}   ·   tokens: {len(speech.tokens)}   ·   {speech.duration:.2f} s"
    style = {"va": "center", "color": INK, "family": pen.families, "parse_math": False}
    figure.text(LEFT, high, shown, size=12, **style)
    figure.text(LEFT, low, counts, size=GAP_SIZE + 1, **style)
    figure.text(RIGHT, low, LEGEND, size=GAP_SIZE, **(style | {"color": GREY, "ha": "right"}))


def _row_span(speech: Speech) -> float:
    """Seconds that a full row lasts: fewer where tokens are crowded, more where there would be too many rows."""
    pixels = (RIGHT - LEFT) * WIDTH_INCHES * DPI
    crowded = pixels * speech.duration / (max(len(speech.tokens), 1) * TOKEN_PIXELS)
    span = min(max(crowded, SHORTEST_ROW), LONGEST_ROW)
    return max(min(span, speech.duration), speech.duration / (MOST_ROWS * EARLIEST_BREAK), SHORTEST_SPAN)


def break_rows(duration: float, span: float, words: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Cut the time from 0 to `duration` into windows of at most `span` seconds, in pauses between words if it can be.

    Args:
        words: (start, end) in seconds, in order.
    """
    pauses = [(end, start) for (_, end), (start, _) in pairwise(words)]
    rows, begin = [], 0.0
    while duration - begin > span * 1.0001:
        earliest, latest = begin + EARLIEST_BREAK * span, begin + span
        # (length, middle) of the pauses, or of the part of them, in which the row may end
        inside = [(b - a, (max(a, earliest) + min(b, latest)) / 2) for a, b in pauses if a < latest and b > earliest]
        stop = max(inside)[1] if inside else latest
        rows.append((begin, stop))
        begin = stop
    return [*rows, (begin, duration)]


class _Pen:
    """Measures labels and puts them where they do not overlap."""

    def __init__(self, measure: Callable[..., tuple[float, float, float]], families: list[str], scale: float) -> None:
        """`measure` is a renderer's text extent, `scale` pixels per second."""
        self.measure, self.families, self.scale = measure, families, scale
        self.known: dict[tuple[str, float], float] = {}

    def width(self, text: str, size: float) -> float:
        """Width of a label in seconds of the time axis, a small margin included."""
        from matplotlib.font_manager import FontProperties

        if (text, size) not in self.known:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Glyph .* missing from font")
                self.known[text, size] = self.measure(text, FontProperties(family=self.families, size=size), False)[0]
        return (self.known[text, size] + MARGIN_PIXELS) / self.scale

    def write(self, axes: Axes, labels: Sequence[Label], heights: Sequence[float], size: float, colour: str) -> None:
        """Write labels on lanes at `heights` (0 to 1 of the panel); those without room are left out."""
        begin, stop = axes.get_xlim()
        widths = [min(self.width(label.text, size), stop - begin) for label in labels]
        centres = [
            min(max(label.time, begin + width / 2), stop - width / 2)
            for label, width in zip(labels, widths, strict=True)
        ]
        lanes = choose_lanes(centres, widths, len(heights))
        for label, centre, lane in zip(labels, centres, lanes, strict=True):
            if lane is not None:
                self.put(axes, label.text, centre, heights[lane], size, colour)

    def put(self, axes: Axes, text: str, time: float, height: float, size: float, colour: str) -> None:
        """Write one text, centred."""
        axes.text(
            *(time, height, text),
            **{"size": size, "color": colour, "family": self.families, "ha": "center", "va": "center"},
            **{"parse_math": False, "clip_on": True},
        )


def choose_lanes(centres: Sequence[float], widths: Sequence[float], lanes: int) -> list[int | None]:
    """Give each label, in order, the first lane in which it does not overlap what is there; None where all are full."""
    filled = [-math.inf] * lanes
    chosen: list[int | None] = []
    for centre, width in zip(centres, widths, strict=True):
        lane = next((index for index, end in enumerate(filled) if centre - width / 2 >= end), None)
        if lane is not None:
            filled[lane] = centre + width / 2
        chosen.append(lane)
    return chosen


def spread(centres: Sequence[float], widths: Sequence[float], begin: float, stop: float) -> list[float] | None:
    """Move labels, in order, as little as possible so that none overlaps another or leaves [begin, stop].

    The sum of squared moves is least: a monotone regression of the centres after the room that each label needs at
    least is taken away (pool adjacent violators). None when there is not enough room.
    """
    if not centres:
        return []
    needed = [0.0, *accumulate((a + b) / 2 for a, b in pairwise(widths))]
    lowest, highest = begin + widths[0] / 2, stop - widths[-1] / 2 - needed[-1]
    if highest < lowest:
        return None
    pools: list[tuple[float, int]] = []  # (mean, count)
    for centre, room in zip(centres, needed, strict=True):
        mean, count = centre - room, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        pools.append((mean, count))
    level = [min(max(mean, lowest), highest) for mean, count in pools for _ in range(count)]
    return [place + room for place, room in zip(level, needed, strict=True)]


def _panel(figure: Figure, bottom: float, height: float, window: tuple[float, float], span: float) -> Axes:
    """An empty panel over a window of seconds, as wide as its part of a full row of `span` seconds, without frame."""
    seconds = max(window[1] - window[0], SHORTEST_SPAN)
    axes = figure.add_axes((LEFT, bottom, (RIGHT - LEFT) * seconds / span, height))
    axes.set_xlim(window[0], window[0] + seconds)
    axes.set_ylim(0, 1)
    axes.tick_params(labelsize=7, colors=INK, length=2, labelbottom=False, bottom=False, left=False, labelleft=False)
    for edge in axes.spines.values():
        edge.set_visible(False)
    return axes


def _note(axes: Axes, height: float, text: str, colour: str = INK) -> None:
    """A small text to the left of a panel."""
    from matplotlib.transforms import ScaledTranslation

    axes.text(
        *(0, height, text),
        **{"size": GAP_SIZE, "color": colour, "ha": "right", "va": "center"},
        transform=axes.transAxes + ScaledTranslation(-6 / 72, 0, axes.figure.dpi_scale_trans),
    )


def _draw_words(axes: Axes, speech: Speech, pen: _Pen) -> None:
    """Waveform in the lower part, words as coloured stretches with their text above."""
    begin, stop = axes.get_xlim()
    first, last = (min(max(round(t * speech.sample_rate), 0), len(speech.audio)) for t in (begin, stop))
    low, high = _envelope(speech.audio[first:last], columns=3000)
    peak = max(float(np.abs(speech.audio).max()), 1e-6)
    times = begin + (np.arange(len(low)) + 0.5) / max(len(low), 1) * (last - first) / speech.sample_rate
    lanes = WORD_LANES if pen.scale * LONGEST_ROW >= (RIGHT - LEFT) * WIDTH_INCHES * DPI else CROWDED_LANES
    top = lanes[0] - 0.08
    axes.fill_between(
        *(times, top / 2 * (1 + 0.94 * low / peak), top / 2 * (1 + 0.94 * high / peak)),
        **{"color": INK, "linewidth": 0.3, "step": "mid"},
    )
    for index, word in enumerate(speech.words):
        if word.end > begin and word.start < stop:
            colour = WORD_COLOURS[index % 2]
            axes.axvspan(word.start, word.end, 0.0, top, color=colour, alpha=0.18, linewidth=0)
            axes.plot([word.start] * 2, [0.0, top], color=colour, linewidth=0.8)
    pen.write(axes, _word_labels(speech.words, begin, stop), lanes, WORD_SIZE, INK)


def _word_labels(words: Sequence[Word], begin: float, stop: float) -> list[Label]:
    """Labels of the words of a row; a word that is cut is labelled where most of it is."""
    labels = []
    for word in words:
        middle = (word.start + word.end) / 2
        if begin <= middle < stop or (middle >= stop and word.start < stop and stop >= words[-1].end):
            labels.append(Label(word.text, (max(word.start, begin) + min(word.end, stop)) / 2))
    return labels


def _draw_mel(axes: Axes, mel: np.ndarray, speech: Speech, pen: _Pen) -> None:
    """Mel spectrogram in dB with a thin line at every mark; mel is [F, M]."""
    from transformers.audio_utils import hertz_to_mel

    begin, stop = axes.get_xlim()
    first, last = int(begin * 100), min(math.ceil(stop * 100), mel.shape[1])
    loud = float(mel.max())
    if last > first:
        axes.imshow(
            mel[:, first:last],
            extent=(first / 100, last / 100, 0, 1),
            **{"aspect": "auto", "origin": "lower", "cmap": "magma", "vmin": loud - 80, "vmax": loud},
        )
    axes.set_xlim(begin, stop)
    times = [time for time in _mark_times(speech) if begin <= time < stop]
    if len(times) * CLOSEST_MARKS < (stop - begin) * pen.scale:
        axes.vlines(times, 0, 1, color=MARK, linewidth=0.5, alpha=0.55)
    top = hertz_to_mel(speech.sample_rate / 2, "slaney")
    for kilohertz in KILOHERTZ:
        if (height := hertz_to_mel(1000.0 * kilohertz, "slaney") / top) < 0.97:
            _note(axes, height, f"{kilohertz:g} kHz")


def _draw_tokens(axes: Axes, speech: Speech, pen: _Pen) -> None:
    """A tick at every mark, led to a column with the token's text and its gap; seconds on the axis."""
    begin, stop = axes.get_xlim()
    inside = [pair for pair in zip(speech.tokens, _mark_times(speech), strict=True) if begin <= pair[1] < stop]
    times = [time for _, time in inside]
    texts = [token.text.strip() or "␣" for token, _ in inside]
    gaps = [str(token.gap) for token, _ in inside]
    widths = [max(pen.width(a, TOKEN_SIZE), pen.width(b, GAP_SIZE)) for a, b in zip(texts, gaps, strict=True)]
    axes.vlines(times, TICK_FOOT, 1, color=INK, linewidth=0.8)
    places = spread(times, widths, begin, stop)
    if places:
        axes.plot([times, places], [[TICK_FOOT] * len(times), [LEADER_FOOT] * len(times)], color=FAINT, linewidth=0.7)
        for text, gap, place in zip(texts, gaps, places, strict=True):
            pen.put(axes, text, place, TOKEN_LANE, TOKEN_SIZE, INK)
            pen.put(axes, gap, place, GAP_LANE, GAP_SIZE, GAP_INK)
        _note(axes, TOKEN_LANE, "token")
        _note(axes, GAP_LANE, "gap", GAP_INK)
    axes.set_xlim(begin, stop)
    axes.tick_params(bottom=True, labelbottom=True)
    axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g} s")
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set_color(FAINT)


def _mark_times(speech: Speech) -> list[float]:
    """Middle of every token's frame in seconds."""
    return [(token.position - 0.5) * FRAME_SECONDS for token in speech.tokens]


def _envelope(samples: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of each of at most `columns` equal pieces: [N] -> [P], [P]."""
    if not len(samples):
        return np.zeros(0), np.zeros(0)
    starts = np.unique(np.linspace(0, len(samples), min(columns, len(samples)), endpoint=False).astype(np.int64))
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def _mel_db(speech: Speech) -> np.ndarray:
    """Mel spectrum in dB, float32 [F, M], 100 frames a second."""
    import torch

    from unisono.audio.mel import LogMel

    size = 2 ** round(math.log2(speech.sample_rate * 0.043))
    mel = LogMel(speech.sample_rate, size, round(speech.sample_rate / 100), 80)
    wave = torch.from_numpy(np.ascontiguousarray(speech.audio, dtype=np.float32))[None]
    with torch.no_grad():
        return mel(wave)[0].numpy() * (20 / math.log(10))
