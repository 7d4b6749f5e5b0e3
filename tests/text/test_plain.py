"""The plain normaliser: what is said, where it comes from, and that no input is slow or raises."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.errors import InputError
from unisono.text import normalize
from unisono.text.plain import numbers
from unisono.text.plain.chinese import chinese_number
from unisono.text.plain.languages import TABLE

CASES = [
    line.split("\t")
    for line in (Path(__file__).parent / "plain_cases.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("# ")
]
_SIGNS = "1 23 4.5 , . - – / $ £ % : ' # + x × = St. Dr. IV May a.m. U.S. km ° ½ 😀 ٣ www. a@b é 東 ² K"
PIECES = [*_SIGNS.split(), '"', " ", " ", "\n", "[pause:1s]"]
TEXTS = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=14).map("".join))


def check_spans(normalized):
    """Spans cover the spoken text without gap or overlap, and their sources are in range and never go back."""
    spoken_end = source_end = 0
    for spoken_start, spoken_stop, source_start, source_stop in normalized.spans:
        assert spoken_start == spoken_end < spoken_stop
        assert source_end <= source_start <= source_stop <= len(normalized.source)
        spoken_end, source_end = spoken_stop, source_stop
    assert spoken_end == len(normalized.spoken)


def test_there_are_many_cases():
    assert len(CASES) >= 300
    assert all(len(case) == 2 for case in CASES)


def test_every_case_of_the_table():
    wrong = [(source, spoken, normalize(source).spoken) for source, spoken in CASES]
    assert not [case for case in wrong if case[1] != case[2]]


def test_every_case_has_spans():
    for source, _ in CASES:
        check_spans(normalize(source))


@pytest.mark.parametrize(
    ("language", "source", "spoken"),
    [
        ("de", "Es kostet 3,50 € um 10:30 Uhr.", "Es kostet drei Komma fünf null Euro um zehn Uhr dreißig."),
        ("de", "1984 & -5°C", "neunzehnhundertvierundachtzig und minus fünf Grad Celsius"),
        ("fr", "3,14 et 50 %", "trois virgule un quatre et cinquante pour cent"),
        ("es", "Hay 21 casas", "Hay veintiuno casas"),
        ("it", "100 € e 3,14", "cento euro e tre virgola uno quattro"),
        ("pt", "10%", "dez por cento"),
        ("pl", "20%", "dwadzieścia procent"),
        ("ja", "50%です", "五十パーセントです"),
        ("zh", "有10005个,50%", "有一万零五个,百分之五十"),
        ("ch", "12", "十二"),
        ("ar", "30%", "ثلاثون بالمئة"),
        ("en-GB", "5", "five"),
    ],
)
def test_other_languages(language, source, spoken):
    normalized = normalize(source, language=language)
    assert normalized.spoken == spoken
    check_spans(normalized)


def test_a_control_tag_is_left_alone():
    assert normalize("Wait [pause:0.8s] 2 [rate:1.3]s[/rate].").spoken == "Wait [pause:0.8s] two [rate:1.3]s[/rate]."


def test_words_of_the_source_are_found_again():
    source = "Dr. Smith owes $3 million on 5 May 2024."
    normalized = normalize(source)
    for spoken, written in [
        ("Doctor", "Dr."),
        ("three", "$3"),
        ("million", " million"),
        ("fifth", "5"),
        ("May", "May"),
        ("twenty-four", "2024"),
        ("mit", "mit"),
    ]:
        place = normalized.spoken.index(spoken)
        span = normalized.source_span(place, place + len(spoken))
        assert source[span.start : span.end] == written


def test_empty_and_outside_ranges_have_empty_spans():
    normalized = normalize("a 5")
    assert normalized.source_span(0, 0) == (0, 0)
    assert normalized.source_span(90, 95).start == normalized.source_span(90, 95).end
    assert normalize("").spans == [] and normalize("").spoken == ""


@pytest.mark.parametrize(
    ("text", "options", "part"),
    [("x", {"style": "plan"}, "plain, tada"), ("x", {"language": "xx"}, "choose one of ar"), (7, {}, "type int")],
)
def test_bad_options_are_named(text, options, part):
    with pytest.raises(InputError, match=part):
        normalize(text, **options)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_no_text_raises_and_spans_are_sound(text):
    check_spans(normalize(text))


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.sampled_from(sorted(TABLE)))
def test_no_text_raises_in_other_languages(text, language):
    check_spans(normalize(text, language=language))


@settings(max_examples=100, deadline=None)
@given(st.integers(min_value=0, max_value=10**18 - 1))
def test_number_words_agree_with_num2words(value):
    from num2words import num2words

    known = num2words(value).replace(",", "").replace(" and ", " ")
    assert numbers.cardinal(value) == known
    assert numbers.ordinal(value % 10**6) == num2words(value % 10**6, to="ordinal").replace(",", "").replace(
        " and ", " "
    )


@pytest.mark.parametrize(
    ("text", "value"), [("IV", 4), ("XLVII", 47), ("MCMXC", 1990), ("IIII", None), ("", None), ("VX", None)]
)
def test_roman_numerals(text, value):
    assert numbers.roman(text) == value


def test_chinese_numbers():
    assert [chinese_number(n) for n in (0, 10, 12, 20, 105, 110, 1005, 10000, 100050, 120000000)] == [
        "零", "十", "十二", "二十", "一百零五", "一百一十", "一千零五", "一万", "十万零五十", "一亿二千万",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="outside"):
        chinese_number(-1)


@pytest.mark.parametrize(
    "unit", ["1", "1,", "1.", "a.", "A.", "- ", "I ", "$1", "1x", "1-", " ", "(5", "a@", "www.", "[pause:", "<b ", "😀"]
)
def test_hostile_repetition_is_linear(unit):
    """Ten times the text takes about ten times as long; a pattern that backtracks would take a hundred times."""

    def seconds(size):
        text = (unit * size)[:size]
        began = time.process_time()
        check_spans(normalize(text))
        return time.process_time() - began

    small = min(seconds(2_000) for _ in range(3))
    assert min(seconds(20_000) for _ in range(2)) < 40 * small + 0.05
