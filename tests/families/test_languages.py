"""Languages: which a model may be asked for, and that no other is passed over in silence."""

import json
import shutil

import pytest

from unisono import hub
from unisono.cli import main
from unisono.errors import InputError
from unisono.families.languages import ALIGNERS, check_known, check_language


def test_names_of_languages():
    assert check_language("fr-CA") == "fr" and check_language("ch") == "zh" and check_language(" EN_us ") == "en"
    assert all(check_known(code, [], "m") == code for code in ALIGNERS)
    assert check_known("zh-TW", ["en", "zh"], "m") == "zh"
    with pytest.raises(InputError, match="model m speaks 'en' and 'zh' only, not 'fr'"):
        check_known("fr", ["en", "zh"], "m")
    with pytest.raises(InputError, match="unknown"):
        check_known("klingon", ["en"], "m")


def test_the_built_in_model_speaks_english_only(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in (["say", "Bonjour."], ["align", "x.wav", "--text", "Bonjour."]):
        assert main([*command, "--language", "fr"]) == 2
        assert "builtin speaks 'en' only, not 'fr'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert hub.load(language="en-GB").language == "en"


def test_a_card_names_the_languages_of_its_model(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    assert hub.load(folder, device="cpu", language="pl").language == "pl"  # it names none: whatever there is
    card = json.loads((folder / "unisono.json").read_text())
    (folder / "unisono.json").write_text(json.dumps(card | {"languages": ["en", "de"]}))
    assert hub.load(folder, device="cpu", language="de").language == "de"
    with pytest.raises(InputError, match="speaks 'en' and 'de' only"):
        hub.load(folder, device="cpu", language="pl")
