"""Pictures of alignments: waveform and words, mel spectrogram and marks, tokens and gaps, in rows of some seconds.

Axes: N samples, M mel frames of 10 ms, F mel bands, P pixel columns.
matplotlib is imported when something is drawn, and through `Figure`, so that no global state or display is touched.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unisono.errors import InputError
from unisono.files import check_output, replacing
from unisono.interface import Speech

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")
FRAME_SECONDS = 1 / 50
WIDTH_INCHES, DPI = 16.0, 100  # 1600 pixels
ROW_INCHES, TITLE_INCHES = 4.0, 0.5
LEFT, RIGHT = 0.035, 0.995  # the panels' edges as parts of the width
ROW_SECONDS = 8.0
SHORTEST_ROW = 0.5
MOST_ROWS = 24  # longer sounds get longer rows, and fewer labels
MARGIN_PIXELS = 3
# Heights of the lanes of labels as parts of their panel; crowded rows get more lanes and a lower waveform.
WORD_LANES, CROWDED_LANES, TOKEN_LANES, GAP_LANES = (
    (0.8, 0.94),
    (0.61, 0.72, 0.83, 0.94),
    (0.8, 0.58, 0.36),
    (0.12,),
)
MOST_LOST = 0.25  # when more than this part of the tokens has no room, none is labelled: scattered letters say nothing
CLOSEST_MARKS = 8  # pixels between lines over the spectrogram; nearer ones would hide it
WORD_SIZE, TOKEN_SIZE, GAP_SIZE = 10, 9, 7.5  # points
INK, GAP_INK, MARK, WORD_COLOURS = "#30343b", "#8a5a00", "#ffffff", ("#3b76b8", "#d9822b")
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
    """The picture as a matplotlib figure, one block of three panels for every `ROW_SECONDS`."""
    from matplotlib import font_manager
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    installed = set(font_manager.get_font_names())
    families = ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in installed)]
    rows = min(max(math.ceil(speech.duration / ROW_SECONDS), 1), MOST_ROWS)
    span = max(speech.duration / rows, SHORTEST_ROW)
    height = rows * ROW_INCHES + TITLE_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    pen = _Pen(
        canvas.get_renderer().get_text_width_height_descent, families, (RIGHT - LEFT) * WIDTH_INCHES * DPI / span
    )
    mel = _mel_db(speech)
    for row in range(rows):
        top = 1 - (TITLE_INCHES * 0.75 + row * ROW_INCHES) / height
        unit = ROW_INCHES / height
        window = (row * span, (row + 1) * span)
        _draw_words(_panel(figure, top - 0.33 * unit, 0.31 * unit, window), speech, pen)
        _draw_mel(_panel(figure, top - 0.67 * unit, 0.33 * unit, window), speech, mel, pen)
        _draw_tokens(_panel(figure, top - 0.86 * unit, 0.18 * unit, window), speech, pen)
    title = f"{len(speech.words)} words, {len(speech.tokens)} tokens, {speech.duration:.2f} s"
    figure.text(LEFT, 1 - 0.22 / height, title, va="center", size=10, color=INK)
    return figure


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

    def write(
        self,
        axes: Axes,
        labels: Sequence[Label],
        heights: Sequence[float],
        size: float,
        colour: str,
        most_lost: float = 1.0,
    ) -> None:
        """Write labels on lanes at `heights` (0 to 1 of the panel).

        Those without room are left out; none is written when they are more than the part `most_lost`.
        """
        begin, stop = axes.get_xlim()
        inside = [label for label in labels if begin <= label.time < stop and label.text.strip()]
        widths = [min(self.width(label.text, size), stop - begin) for label in inside]
        centres = [
            min(max(label.time, begin + width / 2), stop - width / 2)
            for label, width in zip(inside, widths, strict=True)
        ]
        lanes = choose_lanes(centres, widths, len(heights))
        if lanes.count(None) > most_lost * len(lanes):
            return
        for label, centre, lane in zip(inside, centres, lanes, strict=True):
            if lane is not None:
                axes.text(
                    *(centre, heights[lane], label.text),
                    transform=axes.get_xaxis_transform(),
                    **{"size": size, "color": colour, "family": self.families},
                    **{"ha": "center", "va": "center", "parse_math": False, "clip_on": True},
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


def _panel(figure: Figure, bottom: float, height: float, window: tuple[float, float]) -> Axes:
    """An empty panel over a window of seconds, without frame."""
    axes = figure.add_axes((LEFT, bottom, RIGHT - LEFT, height))
    axes.set_xlim(*window)
    axes.set_ylim(0, 1)
    axes.tick_params(labelsize=7, colors=INK, length=2, labelbottom=False, bottom=False, left=False, labelleft=False)
    for edge in axes.spines.values():
        edge.set_visible(False)
    return axes


def _draw_words(axes: Axes, speech: Speech, pen: _Pen) -> None:
    """Waveform in the lower part, words as coloured stretches with their text above."""
    begin, stop = axes.get_xlim()
    first, last = (min(max(round(t * speech.sample_rate), 0), len(speech.audio)) for t in (begin, stop))
    low, high = _envelope(speech.audio[first:last], columns=3000)
    peak = max(float(np.abs(speech.audio).max()), 1e-6)
    times = begin + (np.arange(len(low)) + 0.5) / max(len(low), 1) * (last - first) / speech.sample_rate
    lanes = WORD_LANES if stop - begin <= ROW_SECONDS else CROWDED_LANES
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
    labels = [Label(word.text, (word.start + word.end) / 2) for word in speech.words]
    pen.write(axes, labels, lanes, WORD_SIZE, INK)


def _draw_mel(axes: Axes, speech: Speech, mel: np.ndarray, pen: _Pen) -> None:
    """Mel spectrogram in dB with a thin line at every mark; mel is [F, M]."""
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


def _draw_tokens(axes: Axes, speech: Speech, pen: _Pen) -> None:
    """Marks as ticks, token texts below, gaps in frames between the marks; seconds on the axis."""
    begin, stop = axes.get_xlim()
    times = _mark_times(speech)
    axes.vlines([time for time in times if begin <= time < stop], 0.92, 1, color=INK, linewidth=0.8)
    texts = [Label(token.text.strip() or "␣", time) for token, time in zip(speech.tokens, times, strict=True)]
    gaps = [
        Label(str(token.gap), time - token.gap * FRAME_SECONDS / 2)
        for token, time in zip(speech.tokens, times, strict=True)
    ]
    pen.write(axes, texts, TOKEN_LANES, TOKEN_SIZE, INK, MOST_LOST)
    pen.write(axes, gaps, GAP_LANES, GAP_SIZE, GAP_INK, MOST_LOST)
    axes.tick_params(bottom=True, labelbottom=True)
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set_color("#b0b4bb")
    for text, height, colour in (("gap", GAP_LANES[0], GAP_INK), ("token", TOKEN_LANES[0], INK)):
        axes.text(
            *(-0.004, height, text),
            **{"transform": axes.transAxes, "size": GAP_SIZE, "color": colour, "ha": "right", "va": "center"},
        )


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
