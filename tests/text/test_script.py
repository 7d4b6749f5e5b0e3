"""Control tags: what is shown, where pauses, rates and respellings stand, what is refused, and that nothing is slow."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.errors import InputError, TextWarning
from unisono.text import Pause, Rate, Respelling, read_script, shown_words, split_clauses, split_sentences
from unisono.text.script import show

PIECES = ["[pause:1s]", "[rate:2]", "[/rate]", "[say:naɪki|Nike. Air]", "\\[rate:2]", "[sic]", "[pause", "]", "["]
TEXTS = st.lists(st.sampled_from([*PIECES, "Hello.", "one", ", ", " ", "\n\n", "。", "!", "é", "🎉"]), max_size=14)


def test_tags_are_read():
    source = "Hello. [pause:0.8s] I [rate:2]walk [rate:0.5]very[/rate] fast[/rate], [say:naɪki|Nike]."
    script = read_script(source)
    assert script.text == "Hello. I walk very fast, Nike."
    assert [source[origin] for origin in script.origins[:-1]] == list(script.text)
    assert script.origins[-1] == len(source) and script.source == source
    assert script.pauses == [Pause(7, 0.8)]
    assert script.rates == [Rate(9, 14, 2.0), Rate(14, 18, 1.0), Rate(18, 23, 2.0)]
    assert script.spoken == [Respelling(25, 29, "naɪki")]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("Wait.[pause:800ms]Now.", "Wait. Now."),  # a pause parts words
        ("Wait[pause:.5s], now", "Wait, now"),
        ("a [pause:1s] [pause:1 s] b", "a b"),
        (" [pause:1s] b", " b"),
        ("un[rate:2]believ[/rate]able", "unbelievable"),
        ("a [Rate:1.5] b [/RATE] c", "a b c"),
        ("[SAY:ny-kee| Nike ]s", "Nikes"),
        ("as he says [sic] [pauses] [pause for effect] [say something] [1] []", None),
        ("\\[pause:1s] and \\[sic] and \\ [pause:0s]", "[pause:1s] and \\[sic] and \\ "),
        ("no tags at all", None),
        ("", None),
    ],
)
def test_what_is_shown(source, shown):
    assert read_script(source).text == (source if shown is None else shown)


def test_pauses_at_one_place_are_all_kept():
    assert read_script("[pause:1s][pause:500ms] a [pause:2s]").pauses == [Pause(0, 1), Pause(0, 0.5), Pause(2, 2)]


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("[pause]", r"\[pause\] cannot be read"),
        ("[pause:]", "cannot be read"),
        ("[pause:soon]", "cannot be read"),
        ("[pause:1]", "cannot be read"),
        ("[pause 1s]", "cannot be read"),
        ("[pause:-1s]", "cannot be read"),
        ("[pause:1e3s]", "cannot be read"),
        ("[pause:٣s]", "cannot be read"),
        ("[pause:10.1s]", "out of range: a pause lasts 0 to 10 seconds"),
        ("[pause:10001ms]", "out of range"),
        ("[pause:1s and on", "never closed"),
        ("[pause:1s [rate:2]x[/rate]", "never closed"),
        ("[/pause]", "only .rate.* has an end tag"),
        ("[/say]", "does not exist"),
        ("[rate]x[/rate]", "cannot be read"),
        ("[rate:fast]x[/rate]", "cannot be read"),
        ("[rate:0.2]x[/rate]", "out of range: a rate is 0.25 to 4"),
        ("[rate:5]x[/rate]", "out of range"),
        ("[rate:nan]x[/rate]", "cannot be read"),
        ("[rate:2]x", "never closed"),
        ("x[/rate]", "no .rate.* before it"),
        ("[/rate:2]", r"write \[/rate\]"),
        ("[rate:3][rate:2]x[/rate][/rate]", "makes a rate of 6"),
        ("[say:nike]", "cannot be read"),
        ("[say:|Nike]", "cannot be read"),
        ("[say:naɪki|]", "cannot be read"),
        ("[say:a|b|c]", "cannot be read"),
        ("[say:" + "x" * 500 + "]", "xxx…"),
    ],
)
def test_a_bad_tag_is_refused_in_one_sentence(source, part):
    with pytest.raises(InputError, match=part) as caught:
        read_script(f"Hello there, {source} world.")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "sentences",
    [
        ["One.", "[pause:0.8s] Two.", "[rate:2]Three.[/rate]", "Four. [pause:1s]"],
        ["[rate:2]One.", "Two.[/rate]", "Three, [say:naɪki|Nike. Air] four.", "[say:ju ɛs|U.S.] is big.", "Yes."],
        ["He said [say:haɪ|hi!]", "Then he left.[/rate]", "So."],
        ["[pause:1s] [rate:2] \\[pause:1s]?", "Is text."],
    ],
)
def test_sentences_keep_their_tags_whole(sentences):
    text = " ".join(sentences)
    assert [text[start:end] for start, end in split_sentences(text)] == sentences


def test_a_pause_without_spaces_ends_a_sentence_and_clauses_keep_tags_whole():
    assert [text.strip() for text in parts(split_sentences, "One.[pause:1s]Two.")] == ["One.", "[pause:1s]Two."]
    assert parts(split_clauses, "One, [say:x|a, b, c], [pause:1s] two") == [
        "One,",
        "[say:x|a, b, c],",
        "[pause:1s] two",
    ]


def parts(split, text):
    return [text[start:end] for start, end in split(text)]


def test_a_rate_spans_sentences():
    script = read_script("A [rate:2]b. C [rate:1.5]d.[/rate] E[/rate] f. G.")
    found = [script.part(span) for span in split_sentences(script.source)]
    assert [part.text for part in found] == ["A b.", "C d.", "E f.", "G."]
    assert [[(part.text[a:b], factor) for a, b, factor in part.rates] for part in found] == [
        [("b.", 2.0)], [("C ", 2.0), ("d.", 3.0)], [("E", 2.0)], [],
    ]  # fmt: skip
    assert [part.source for part in found] == ["A [rate:2]b.", "C [rate:1.5]d.[/rate]", "E[/rate] f.", "G."]


@settings(max_examples=120, deadline=None)
@given(TEXTS.map("".join))
def test_parts_are_the_whole(source):
    """Any text is read or refused; sentences and clauses lose white space only, and no pause, rate or respelling."""
    shown, _ = show(source)
    for split in (split_sentences, split_clauses):
        place = 0
        for start, end in split(source):
            assert place <= start < end <= len(source)
            assert not source[place:start].strip()
            place = end
        assert not source[place:].strip() or not any(map(str.isalnum, shown.text))
    try:
        script = read_script(source)
    except InputError:
        return
    assert shown._replace(rates=script.rates) == script
    assert len(script.origins) == len(script.text) + 1 and script.origins == sorted(script.origins)
    found = [script.part(span) for span in split_sentences(source)]
    if not any(map(str.isalnum, script.text)):
        return
    assert [pause.seconds for part in found for pause in part.pauses] == [pause.seconds for pause in script.pauses]
    assert [item.spoken for part in found for item in part.spoken] == [item.spoken for item in script.spoken]
    assert "".join("".join(part.text.split()) for part in found) == "".join(script.text.split())
    assert sped(found) == sped([script])


def sped(scripts):
    """Every character that is not white space with its rate."""
    rated = []
    for script in scripts:
        factors = [1.0] * len(script.text)
        for start, end, factor in script.rates:
            factors[start:end] = [factor] * (end - start)
        rated += [pair for pair in zip(script.text, factors, strict=True) if pair[0].strip()]
    return rated


@pytest.mark.parametrize(
    "unit",
    [
        "[pause:1s]",
        "[rate:1]",
        "[rate:1]a.[/rate] ",
        "[say:x|y. z]",
        "\\[rate:1]",
        "[pause:",
        "[say:a",
        "[",
        "]",
        "[/rate]",
    ],
)
def test_hostile_repetition_is_linear(unit):
    """Ten times the text takes about ten times as long; a scan that starts again at every tag takes a hundred times."""

    def seconds(size):
        text = (unit * size)[:size]
        began = time.process_time()
        try:
            script = read_script(text)
        except InputError:
            script = show(text)[0]
        for span in split_sentences(text):
            script.part(span)
        shown_words(text)
        return time.process_time() - began

    small = min(seconds(10_000) for _ in range(3))
    assert min(seconds(100_000) for _ in range(2)) < 40 * small + 0.05


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[paus:1s] a", r"\[pause:0.8s\]"),
        ("a [pasue:1s] b", r"\[pause:0.8s\]"),
        ("a [Puase: 0.5 s] b", r"\[pause:0.8s\]"),
        ("a [break:500ms] b", r"\[pause:0.8s\]"),
        ("[rat:1.2]a[/rat]", r"\[rate:1.3\]"),
        ("a [/rte] b", r"\[rate:1.3\]"),
        ("[speed:1.5]a", r"\[rate:1.3\]"),
        ("[sya:naɪki|Nike]", r"\[say:naɪki\|Nike\]"),
        ("[ipa:naɪki|Nike]", r"\[say:naɪki\|Nike\]"),
    ],
)
def test_a_mistyped_tag_is_text_with_a_warning(text, meant):
    with pytest.warns(TextWarning, match=meant):
        script = read_script(text)
    assert script.text == text and not script.pauses and not script.rates and not script.spoken


@pytest.mark.parametrize(
    "text",
    ["[note: hello]", "[1]", "[sic]", "[rat]", "[pace: slowly]", "[12:30]", "a[i:j]", "[break]", "\\[pause:1s]", "[]",
     "[cause:effect]", "[http://a.b]", "[speed: see below]"],
)  # fmt: skip
def test_brackets_of_other_kinds_are_text_without_a_word(text):
    assert read_script(text).text == text.removeprefix("\\")
