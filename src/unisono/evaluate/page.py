"""The report as one web page: figures, plots, failures, and a table whose rows open to players and spectrograms.

It is made from `report.json` alone and needs no network; sounds and pictures lie in folders beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from unisono.evaluate import charts
from unisono.evaluate.assets import SCRIPT, STYLE
from unisono.evaluate.charts import figures_of, names_of, sound_of
from unisono.evaluate.words import mark_differences

NOTHING = "–"
SHOWN_FAILURES = 12  # of a task, before the list is folded
Report = Mapping[str, Any]


class Column(NamedTuple):
    """A column of numbers: key in an item's part, whose part ("" = the main task's), heading, and how it is shown."""

    key: str
    part: str
    head: str
    form: str


COLUMNS = (
    Column("wer", "", "word errors", "{:.0%}"),
    Column("wer", "recordings", "recording’s", "{:.0%}"),
    Column("cer", "", "character errors", "{:.0%}"),
    Column("spectrum_db", "", "spectrum, dB", "{:.1f}"),
    Column("cepstral_db", "", "cepstra, dB", "{:.1f}"),
    Column("mel_db", "", "mel, dB", "{:.1f}"),
    Column("duration_ratio", "", "length ratio", "{:.2f}"),
    Column("speaker_similarity", "", "speaker", "{:.2f}"),
    Column("rtf", "", "RTF", "{:.3f}"),
)
PLOTS = (
    (charts.error_bars, "Word errors", "under two listeners, beside the recordings’ own"),
    (charts.spread_of_errors, "Spread of word errors", "the further up and left, the better; averages hide the tail"),
    (charts.spectrum_lines, "Long-term spectrum", "levels taken away; the lines of a good voice lie on each other"),
    (charts.lengths, "Lengths", "shaded: 0.8 to 1.25 times the recording’s; ringed: failed"),
    (charts.similarities, "Speaker similarity", "one dot a sentence, against other recordings of the speaker"),
)


def render_page(report: Report) -> str:
    """The whole page for the content of `report.json`."""
    title = f"{escape(str(report['model']))}: evaluation"
    body = "\n".join(
        (_header(report), _cards(report), _plots(report), _failures(report), _table(report), _details(report))
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n<script>{SCRIPT}</script>\n</body></html>\n"
    )


def show(value: float | None, form: str) -> str:
    """A number as text, or a dash."""
    return NOTHING if value is None else form.format(value)


def _header(report: Report) -> str:
    key = "".join(f'<i class="{c}"></i>{name}' for name, c in charts.styles_of(report).items())
    return (
        f"<header><h1>{escape(str(report['model']))}</h1>"
        f"<p>{report['n']} sentences of <code>{escape(report['data'])}</code>, voice {escape(report['voice'])}, "
        f"seed {report['seed']}. Every figure stands beside that of the recordings themselves.<br>"
        f'<span class="key soft">colours:{key}</span></p></header>'
    )


def _cards(report: Report) -> str:
    """The main figures, those of the recordings and of a further task under them."""
    wanted = (
        ("wer", "word errors", "{:.1%}"),
        ("cer", "character errors", "{:.1%}"),
        ("spectrum_db", "long-term spectrum", "{:.2f} dB"),
        ("cepstral_db", "cepstra after warping", "{:.1f} dB"),
        ("mel_db", "mel after warping", "{:.1f} dB"),
        ("duration_ratio", "length, total", "{:.2f} ×"),
        ("speaker_similarity", "speaker similarity", "{:.2f}"),
        ("failures_per_1000", "failures per 1,000", "{:.0f}"),
    )
    cards = []
    for key, title, form in wanted:
        beside = [f"{name} {show(figures_of(report, name).get(key), form)}" for name in names_of(report)]
        recording, _, *further = beside
        lines = [recording] if key != "duration_ratio" else []
        if key == "failures_per_1000":
            lines.append("95 %: {:.0f} to {:.0f}".format(*report["failures_per_1000_interval"]))
        lines = "".join(f'<span class="sub">{line}</span>' for line in (*lines, *further))
        cards.append(f'<div class="card"><span>{title}</span><b>{show(report[key], form)}</b>{lines}</div>')
    speed = (
        f'<div class="card"><span>speed</span><b>{show(report["times_real_time"], "{:.1f}")} ×</b>'
        f'<span class="sub">real time; RTF {show(report["rtf"], "{:.3f}")}</span>'
        f'<span class="sub">{escape(report["machine"]["device"])}, threads: {report["machine"]["threads"]}</span></div>'
    )
    return f'<div class="cards">{"".join(cards)}{speed}</div>{_tail(report)}'


def _tail(report: Report) -> str:
    """One paragraph on what an average hides."""
    if report["wer"] is None:
        return "<p>Nobody listened: the listener understands English only.</p>"
    above = report["wer_above_recordings_interval"]
    within = f" (95 %: {100 * above[0]:+.1f} to {100 * above[1]:+.1f})" if above else ""
    return (
        f"<p>Word errors are {100 * report['wer_above_recordings']:+.1f} points above the recordings’{within}. "
        f"Median {report['wer_median']:.1%}, 95th percentile {report['wer_p95']:.1%}, worst {report['wer_worst']:.1%}; "
        f"{report['wer_over_half']} of {report['n']} above 50 %; {report['exact_match']:.0%} heard exactly "
        f"(recordings {show(report['exact_match_recordings'], '{:.0%}')}); longest run without a right word: "
        f"{report['longest_divergent_run']} words.</p>"
    )


def _plots(report: Report) -> str:
    figures = [(draw(report), title, text) for draw, title, text in PLOTS]
    shown = "".join(
        f'<figure class="plot"><figcaption><b>{title}</b>: {text}</figcaption>{svg}</figure>'
        for svg, title, text in figures
        if svg
    )
    return f'<h2>Plots</h2><div class="plots">{shown}</div>'


def _failures(report: Report) -> str:
    """Failed sentences of every task, and the rules."""
    parts = []
    for name in names_of(report)[1:]:
        failures = figures_of(report, name)["failures"]
        rows = "".join(
            f'<li><a href="#item-{f["index"]}">{escape(f["text"])}</a> <span class="tag">{", ".join(f["kinds"])}</span>'
            f"{' ' + escape(f['error']) if 'error' in f else ''}</li>"
            for f in failures
        )
        listed = f'<ul class="failures">{rows}</ul>' if rows else "<p>None.</p>"
        state = " open" if len(failures) <= SHOWN_FAILURES else ""
        parts.append(f"<details{state}><summary>{name}: {len(failures)}</summary>{listed}</details>")
    rules = "".join(f"<dt>{name}</dt><dd>{escape(rule)}</dd>" for name, rule in report["failure_rules"].items())
    own = len(report["recordings"]["failures"])
    return (
        f"<h2>Failures</h2>{''.join(parts)}<p class='soft'>The same rules find {own} of {report['n']} recordings, "
        f"which is what the listener gets wrong.</p><details><summary>What counts as a failure</summary>"
        f"<dl>{rules}</dl></details>"
    )


def _table(report: Report) -> str:
    heads = "".join(f'<th scope="col"><button>{column.head}</button></th>' for column in COLUMNS)
    rows = "\n".join(_rows(report, item) for item in report["items"])
    return (
        '<h2>Sentences</h2><div class="bar">'
        '<input id="words" type="search" placeholder="find words" aria-label="find words">'
        '<label><input id="failed" type="checkbox"> only failures</label>'
        '<span class="soft">a heading sorts; a sentence opens its sounds; a spectrogram plays from where it is clicked'
        '</span></div><div class="scroll"><table id="items"><thead><tr>'
        '<th scope="col" data-first="ascending"><button>#</button></th>'
        '<th scope="col" class="text" data-first="ascending" data-kind="text"><button>sentence</button></th>'
        f'{heads}<th scope="col"><button>failures</button></th></tr></thead>\n{rows}\n</table></div>'
    )


def _rows(report: Report, item: Mapping[str, Any]) -> str:
    """An item's row of figures, and the one with its sounds."""
    failures = [kind for name in names_of(report)[1:] for kind in sound_of(report, item, name)["failures"]]
    cells = []
    for column in COLUMNS:
        value = sound_of(report, item, column.part or report["task"]).get(column.key)
        cells.append(f'<td data-value="{"" if value is None else round(value, 6)}">{show(value, column.form)}</td>')
    text = escape(item["text"])
    tags = f'<span class="tag">{", ".join(dict.fromkeys(failures))}</span>' if failures else ""
    sounds = "".join(_sound(report, item, name) for name in names_of(report))
    searched = escape(f"{item['text']} {item['speaker']} {item['file']}".lower())
    return (
        f'<tbody class="item" id="item-{item["index"]}" data-failed="{len(failures)}" data-text="{searched}"><tr>'
        f'<td data-value="{item["index"]}">{item["index"]}</td><td class="text" data-value="{text}">'
        f'<button class="open" aria-expanded="false">{text}</button>{tags}</td>'
        f'{"".join(cells)}<td data-value="{len(failures)}">{len(failures) or NOTHING}</td></tr>'
        f'<tr class="detail"><td colspan="{len(COLUMNS) + 3}"><div class="sounds">{sounds}</div></td></tr></tbody>'
    )


def _sound(report: Report, item: Mapping[str, Any], name: str) -> str:
    """Spectrogram, player and what was heard of one sound."""
    sound = sound_of(report, item, name)
    if sound["audio"] and sound["picture"]:
        picture = (
            f'<div class="picture"><img src="{sound["picture"]}" alt="spectrogram" loading="lazy">'
            '<div class="head"></div></div>'
            f'<audio controls preload="none" src="{sound["audio"]}" data-seconds="{sound["seconds"]:.4f}"></audio>'
        )
    else:
        picture = f'<div class="picture none">{escape(sound.get("error") or "no sound")}</div>'
    forms = (("spectrum_db", "spectrum {:.1f} dB"), ("cepstral_db", "cepstra {:.1f} dB"), ("mel_db", "mel {:.1f} dB"))
    figures = [form.format(sound[key]) for key, form in forms if sound.get(key) is not None]
    if sound.get("speaker_similarity") is not None:
        figures.append(f"speaker {sound['speaker_similarity']:.2f}")
    origin = f"{item['speaker']}, {item['file']}" if name == "recordings" else ""
    return (
        f'<figure title="{escape(origin)}"><figcaption><b>{name}</b> · {sound["seconds"]:.2f} s</figcaption>{picture}'
        f"{_heard(item['text'], sound)}<small class='soft'>{' · '.join(figures)}</small></figure>"
    )


def _heard(text: str, sound: Mapping[str, Any]) -> str:
    """What was understood, differences marked, and below it what the general listener understood."""
    if "heard" not in sound:
        return ""
    pieces = []
    for kind, said, heard in mark_differences(text, sound["heard"]):
        marked = f"{f'<del>{said}</del> ' if said else ''}{f'<ins>{heard}</ins>' if heard else ''}"
        pieces.append(said if kind == "equal" else marked.strip())
    general = escape(sound["heard_general"]) or "nothing"
    return (
        f'<div class="heard">heard: {" ".join(pieces)} <span class="soft">({sound["wer"]:.0%})</span></div>'
        f'<small class="soft">general listener: {general} ({sound["wer_general"]:.0%})</small><br>'
    )


def _details(report: Report) -> str:
    """How it was measured."""
    domain, machine = report["domain_model"], report["machine"]
    rows: Sequence[tuple[str, str]] = (
        ("listener", "pocketsphinx; word and character errors after lower-casing and dropping all but a-z and '"),
        (
            "domain’s language model",
            f"bigrams of {domain['sentences']} sentences, {domain['words']} words "
            f"({domain['unknown_words']} unknown to the listener), from {', '.join(domain['sources'])}",
        ),
        ("recordings’ spectrum", "distance between every other recording and the rest: what chance gives"),
        (
            "recordings’ cepstra, mel",
            f"between two takes of one text by one speaker ({report['recordings']['takes']} here)",
        ),
        ("speaker similarity", report["methods"]["speaker_similarity"]),
        ("speed", "wall time of the model's work on each sentence alone, one after the other"),
        ("options", ", ".join(f"{k}={v}" for k, v in report["options"].items()) or "the model’s own"),
        ("machine", ", ".join(f"{key} {value}" for key, value in machine.items() if key != "versions")),
        ("versions", ", ".join(f"{name} {number}" for name, number in machine["versions"].items())),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows)
    return f"<h2>How it was measured</h2><dl>{listed}</dl>"
