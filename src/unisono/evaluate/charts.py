"""Plots of a report as SVG text: colours come from the page's style sheet, so that they follow dark and light.

Class c0 is the recordings, c1 the main task, c2 a further task. Sizes are pixels of a 460 × 260 picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 22, 12, 38
BAR, GAP = 20, 6
TICKS = 5  # at most so many steps on an axis
HZ_TICKS = {100: "100 Hz", 300: "300 Hz", 1000: "1 kHz", 3000: "3 kHz", 10000: "10 kHz"}
CLASSES = ("c0", "c1", "c2")
Point = tuple[float, float]


@dataclass
class Chart:
    """A plane with axes; things are drawn in data coordinates."""

    x: tuple[float, float]
    y: tuple[float, float]
    parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """Pixels of a point."""
        across, up = ((v - a) / ((b - a) or 1) for v, (a, b) in ((x, self.x), (y, self.y)))
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def axes(
        self, x_name: str, y_name: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]
    ) -> None:
        """Grid lines, numbers and names."""
        for value, label in x_ticks:
            (px, top), (_, bottom) = self.at(value, self.y[1]), self.at(value, self.y[0])
            self.parts.append(f'<path class="grid" d="M{px:.1f} {top:.1f}V{bottom:.1f}"/>')
            self.text(px, bottom + 15, label, "middle")
        for value, label in y_ticks:
            (left, py), (right, _) = self.at(self.x[0], value), self.at(self.x[1], value)
            self.parts.append(f'<path class="grid" d="M{left:.1f} {py:.1f}H{right:.1f}"/>')
            self.text(left - 6, py + 4, label, "end")
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, x_name, "middle")
        middle = (TOP + HEIGHT - BOTTOM) / 2
        self.parts.append(f'<text transform="translate(11 {middle}) rotate(-90)" text-anchor="middle">{y_name}</text>')

    def text(self, x: float, y: float, words: str, anchor: str = "start", style: str = "") -> None:
        """Words at pixels."""
        self.parts.append(
            f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def line(self, points: Iterable[Point], style: str) -> None:
        """A line through points."""
        path = "L".join("{:.1f} {:.1f}".format(*self.at(*point)) for point in points)
        self.parts.append(f'<path class="line {style}" d="M{path}"/>')

    def dot(self, point: Point, style: str, title: str, item: int) -> None:
        """A dot that leads to an item of the page."""
        x, y = self.at(*point)
        circle = f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(title)}</title></circle>'
        self.parts.append(f'<a href="#item-{item}">{circle}</a>')

    def svg(self, label: str, height: int = HEIGHT) -> str:
        """The picture."""
        return (
            f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(self.parts)}</svg>'
        )


def ticks(low: float, high: float, form: str = "{:g}") -> list[tuple[float, str]]:
    """Round numbers from `low` to `high` with their labels."""
    raw = (high - low) / TICKS or 1.0
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(n * step, form.format(round(n * step, 10))) for n in range(first, last + 1)]


def names_of(report: Mapping[str, Any]) -> list[str]:
    """The recordings and the tasks, in the order of their colours."""
    further = [name for name in ("resynthesis",) if name in report]
    return ["recordings", report["task"], *further]


def styles_of(report: Mapping[str, Any]) -> dict[str, str]:
    """The colour class of the recordings and of every task. Raises ValueError where there are more than colours."""
    names = names_of(report)
    return dict(zip(names, CLASSES[: len(names)], strict=True))


def figures_of(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The part of the report about the recordings or a task."""
    return report if name == report["task"] else report[name]


def sound_of(report: Mapping[str, Any], item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The part of an item about its recording or what was made of it."""
    return item if name == report["task"] else item["recording" if name == "recordings" else name]


def error_bars(report: Mapping[str, Any]) -> str:
    """Word error rates under both listeners as bars; "" when nobody listened."""
    names = names_of(report)
    keys = (("wer", "domain’s language model (decides)"), ("wer_general", "general language model"))
    rates = [figures_of(report, name)[key] for key, _ in keys for name in names]
    if None in rates:
        return ""
    most, y = max(*rates, 0.05), 8.0
    chart = Chart((0, most), (0, 1))
    for key, title in keys:
        chart.text(4, y + 12, title, style="strong")
        y += 20
        for name, style in styles_of(report).items():
            rate = figures_of(report, name)[key]
            width = max(rate / most * (WIDTH - 160), 1.5)
            chart.parts.append(f'<rect class="{style}" x="92" y="{y}" width="{width:.1f}" height="{BAR}" rx="3"/>')
            chart.text(86, y + 14, name, "end")
            chart.text(98 + width, y + 14, f"{rate:.1%}")
            y += BAR + GAP
        y += 12
    return chart.svg("Word error rates", round(y))


def spread_of_errors(report: Mapping[str, Any]) -> str:
    """Share of the sentences with at most so many word errors; "" when nobody listened."""
    rates = {
        name: sorted(rate for item in report["items"] if (rate := sound_of(report, item, name).get("wer")) is not None)
        for name in names_of(report)
    }
    if not all(rates.values()):
        return ""
    most = max(0.2, min(max(values[-1] for values in rates.values()), 2.0))
    chart = Chart((0, most), (0, 1))
    chart.axes("word errors of a sentence", "share of sentences", ticks(0, most, "{:.0%}"), ticks(0, 1, "{:.0%}"))
    for name, style in reversed(styles_of(report).items()):
        points, height, values = [], 0.0, rates[name]
        for index, rate in enumerate(values, 1):
            points += [(min(rate, most), height), (min(rate, most), index / len(values))]
            height = index / len(values)
        chart.line([*points, (most, 1.0)], style)
    return chart.svg("Spread of word errors over the sentences")


def spectrum_lines(report: Mapping[str, Any]) -> str:
    """Long-term spectra without their levels."""
    spectra, hz = report["long_term_spectrum"], report["long_term_spectrum"]["hz"]
    there = {name: spectra[name] for name in names_of(report) if name in spectra}
    values = [value for shape in there.values() for value in shape]
    low, high = math.floor(min(values) / 5) * 5, math.ceil(max(values) / 5) * 5
    chart = Chart((math.log(hz[1]), math.log(hz[-1])), (low, high))
    marks = [(math.log(tick), label) for tick, label in HZ_TICKS.items() if hz[1] <= tick <= hz[-1]]
    chart.axes("", "dB", marks, ticks(low, high))
    for name, style in reversed(styles_of(report).items()):
        if name in there:
            chart.line(((math.log(f), value) for f, value in zip(hz[1:], there[name][1:], strict=True)), style)
    return chart.svg("Long-term spectra")


def lengths(report: Mapping[str, Any]) -> str:
    """Length of what was made against that of the recording; the shaded part is 0.8 to 1.25 times as long."""
    longest = max(sound_of(report, item, name)["seconds"] for item in report["items"] for name in names_of(report))
    edge = longest * 1.08
    chart = Chart((0, edge), (0, edge))
    corners = ((0, 0), (edge, 0.8 * edge), (edge, edge), (edge / 1.25, edge))
    chart.parts.append(f'<path class="band" d="M{"L".join("{:.1f} {:.1f}".format(*chart.at(*c)) for c in corners)}Z"/>')
    chart.axes("recording, seconds", "made, seconds", ticks(0, edge), ticks(0, edge))
    for name, style in reversed(list(styles_of(report).items())[1:]):
        for item in report["items"]:
            sound = sound_of(report, item, name)
            failed = " failed" if sound["failures"] else ""
            title = f"{item['index']} {name}: {sound['seconds']:.2f} s for {item['recording']['seconds']:.2f} s"
            chart.dot((item["recording"]["seconds"], sound["seconds"]), style + failed, title, item["index"])
    return chart.svg("Lengths")


def similarities(report: Mapping[str, Any]) -> str:
    """Speaker similarity of every sound to the speaker's other recordings; "" when none could be taken."""
    names = names_of(report)
    found = [
        (row, name, item["index"], value)
        for row, name in enumerate(names)
        for item in report["items"]
        if (value := sound_of(report, item, name).get("speaker_similarity")) is not None
    ]
    if not found:
        return ""
    low = min(0.0, math.floor(min(value for *_, value in found) * 5) / 5)
    chart = Chart((low, 1.0), (0, len(names)))
    chart.axes("similarity to other recordings of the speaker", "", ticks(low, 1.0), [])
    for row, name in enumerate(names):
        chart.text(*chart.at(low, len(names) - row - 0.12), name, style="strong")
    for row, name, index, value in found:
        spread = 0.5 + 0.28 * math.sin(index * 2.4)  # apart from each other, the same in every report
        chart.dot((value, len(names) - row - 1 + spread), CLASSES[row], f"{index} {name}: {value:.2f}", index)
    return chart.svg("Speaker similarity")
