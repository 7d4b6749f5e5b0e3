"""One table of controls: options, flags, docstrings and the documentation agree with it."""

from dataclasses import fields
from pathlib import Path

import pytest

from unisono.errors import InputError
from unisono.families.controls import CONTROLS, NAMES, documented, page, sentence
from unisono.families.tada.card import Card, make_options
from unisono.families.tada.options import FIELDS, NEGATIVE_SOURCES, PUBLISHED, SpeakOptions, translated
from unisono.lm.candidates import SCORERS
from unisono.lm.schedules import CFG_SCHEDULES, TIME_SCHEDULES
from unisono.lm.solver import SOLVERS

DOCUMENT = Path(__file__).parents[2] / "docs" / "generation.md"


def test_the_page_is_made_from_the_table():
    assert page(DOCUMENT) == DOCUMENT.read_text(encoding="utf-8"), "run: python -m unisono.families.controls"


def test_every_control_is_an_option_with_the_same_default():
    options = SpeakOptions()
    for control in CONTROLS:
        assert getattr(options, FIELDS[control.name]) == control.default, control.name
    named = set(FIELDS.values())
    assert {entry.name for entry in fields(SpeakOptions)} == named


def test_words_to_choose_from_are_those_that_are_understood():
    assert NAMES["scorer"].choices == SCORERS and NAMES["negative_source"].choices == NEGATIVE_SOURCES
    assert NAMES["time_grid"].choices == TIME_SCHEDULES and NAMES["guidance_schedule"].choices == CFG_SCHEDULES
    assert NAMES["solver"].choices == tuple(SOLVERS)


def test_published_names_are_accepted_and_mean_the_same():
    for control in CONTROLS:
        value = control.choices[-1] if control.choices else control.default
        if value is None:
            value = {str: "hello", int: 3, float: 0.5}[control.kind]
        by_ours = translated({control.name: value})
        assert by_ours == {FIELDS[control.name]: value}
        if control.published:
            assert translated({control.published: value}) == by_ours
    assert {control.published for control in CONTROLS} | {"duration_noise_temperature"} >= PUBLISHED


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_values_out_of_range_are_answered_with_the_range(control):
    bad = [[], b"x"]
    if control.choices:
        bad += ["", "nothing", 1]
    elif control.kind is bool:
        bad += [1, "yes"]
    elif control.kind is str:
        bad += [3, "x" * (int(control.high) + 1)]
    else:
        bad += [
            control.high + 1,
            control.low - 1,
            float("nan"),
            float("inf"),
            True,
            "1",
            *([1.5] * (control.kind is int)),
        ]
    for value in bad:
        with pytest.raises(InputError) as caught:
            make_options(Card(), {control.name: value})
        message = str(caught.value)
        assert message.startswith(control.name) and "\n" not in message
        if not control.choices and control.kind in (int, float):
            assert control.range in message
    for value in (control.low, control.high) if control.kind in (int, float) else ():
        make_options(Card(), {control.name: control.kind(value)})


def test_a_card_sets_defaults_and_a_user_overrides_them():
    card = Card(options={"steps": 4, "text_top_k": 7, "speed": 1.3, "system_prompt": "me"})
    options = make_options(card, {"steps": 5, "top_k": None})
    assert (options.num_flow_matching_steps, options.text_top_k, options.speed, options.system_prompt) == (
        5,
        7,
        1.3,
        "me",
    )


def test_help_and_docstrings_say_range_and_default():
    from unisono.families.tada.speech import TadaSpeech

    for control in CONTROLS:
        text = sentence(control)
        assert control.range in text and "default" in text
        for method in (TadaSpeech.say, TadaSpeech.continue_):
            assert f"{control.name}: {text}" in method.__doc__, control.name

    @documented
    def nothing():
        """{controls}"""

    assert nothing.__doc__.count("default") >= len(CONTROLS)


def test_every_flag_is_in_the_help_of_say_and_continue(capsys):
    from unisono.cli import main

    for command in ("say", "continue"):
        assert main([command, "--help"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        for control in CONTROLS:
            assert f"--{control.name.replace('_', '-')}" in shown
