"""docs/text.md says what the normalisers do; every example in it is checked here."""

import re
from pathlib import Path

import pytest

from unisono.text import normalize, read_script

PAGE = (Path(__file__).parents[2] / "docs" / "text.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?:([^|`]+) \| )?`([^`]+)` \| ([^|`]+) \|$", re.MULTILINE)


def rows(heading):
    """(first column, what is written, what is said) of the examples below a heading."""
    return ROW.findall(PAGE.split(f"## {heading}\n")[1].split("\n## ")[0])


def test_examples_of_the_plain_normaliser():
    examples = rows("The plain normaliser")
    assert len(examples) > 40
    for name, written, said in examples:
        language = name if len(name) == 2 else "en"
        assert normalize(written, language=language).spoken == said


def test_examples_of_the_tada_normaliser():
    examples = rows("The tada normaliser")
    assert examples
    for _, written, said in examples:
        assert normalize(written, style="tada").spoken == said


@pytest.mark.parametrize("tag", ["[pause:0.8s]", "[pause:800ms]", "[rate:1.3]…[/rate]", "[say:SPOKEN|SHOWN]"])
def test_tags_of_the_page_are_tags(tag):
    assert tag.replace("|", "\\|") in PAGE
    script = read_script(f"a {tag} b")
    assert script.pauses or script.rates or script.spoken
