"""The table of families: computed, and the page holds what the code says."""

from pathlib import Path

import pytest

from unisono.cli import main
from unisono.families.facts import page, rows, table_lines

DOCUMENT = Path(__file__).parents[2] / "docs" / "families.md"


def test_figures_follow_from_rates_and_books():
    facts = dict(rows())
    llasa, dia, tada = (facts[name] for name in ("llasa", "dia", "tada"))
    assert llasa.rate == 50 and llasa.bits_per_second == 800 and llasa.positions(10) == 502
    assert dia.rate == pytest.approx(86.13, abs=0.01) and dia.bits_per_second == pytest.approx(7751.95, abs=0.01)
    assert dia.positions(10) == 862 + 17
    assert tada.bits_per_second is None and tada.seconds(2048) > 15 * llasa.seconds(2048)


def test_the_page_holds_the_table(capsys):
    assert page(DOCUMENT) == DOCUMENT.read_text(encoding="utf-8"), "run python -m unisono.families.facts"
    assert main(["models", "--table"]) == 0
    assert capsys.readouterr().out == "\n".join(table_lines()) + "\n"
