"""Texts with control tags to tokens: places in the source, pauses before tokens, a rate for each token."""

import warnings

import pytest

from unisono.errors import InputError, TextWarning
from unisono.families.spelling import Spelled, spell, spell_sentences
from unisono.text import CharacterTokenizer, load_tokenizer, normalize, read_script
from unisono.text.respelling import write_out

OPTIONS = dict(style="plain", language="en", leading_space=True)


@pytest.fixture(scope="module", params=["letters", "characters"])
def tokenizer(request):
    return load_tokenizer() if request.param == "letters" else CharacterTokenizer()


def test_tags_are_not_spoken_and_tokens_know_their_place(tokenizer):
    source = "It costs [pause:0.8s] $3 [rate:2]per [pause:1s][pause:500ms]day[/rate]. [pause:2s]"
    spelled = spell(source, tokenizer, **OPTIONS)
    assert spelled.source == source
    assert spelled.spoken == " It costs three dollars per day."
    plain = spell("It costs $3 per day.", tokenizer, **OPTIONS)
    assert (spelled.ids, spelled.texts) == (plain.ids, plain.texts)
    said = {source[span.start : span.end] for span in spelled.spans}
    assert {"I", "$3", "d", "."} <= said
    spoken = "".join(spelled.texts)
    assert spelled.pauses == {spoken.index("three"): 0.8, spoken.index("day"): 1.5, len(spelled.ids): 2.0}
    fast = slice(spoken.index("per"), spoken.index("."))
    assert set(spelled.rates[fast]) == {2.0} and spelled.rates[fast.start - 2] == 1.0 == spelled.rates[fast.stop]
    assert len(spelled.rates) == len(spelled.ids)


def test_without_tags_all_is_neutral(tokenizer):
    spelled = spell("Hello there.", tokenizer, **OPTIONS)
    assert spelled.pauses == {} and spelled.rates == [1.0] * len(spelled.ids)
    assert Spelled("a", "a", [1], ["a"], spelled.spans[:1]).rates == [1.0]


def test_sentences_keep_rates_and_pauses(tokenizer):
    found = spell_sentences("[rate:1.5]One. [pause:1s] Two[/rate] three.", tokenizer, **OPTIONS)
    assert [spelled.spoken for spelled in found] == [" One.", " Two three."]
    assert [spelled.source for spelled in found] == ["[rate:1.5]One.", "[pause:1s] Two[/rate] three."]
    assert found[0].pauses == {} and set(found[0].rates) == {1.5}
    assert found[1].pauses == {1: 1.0} and found[1].rates == [1.5] * 4 + [1.0] * 7


def test_what_holds_only_tags_is_refused(tokenizer):
    for text in ("[pause:1s]", "[pause:1s] [rate:2]...[/rate]"):
        with pytest.raises(InputError, match="no letter or digit to be spoken"):
            spell_sentences(text, tokenizer, **OPTIONS)
        with pytest.raises(InputError, match="nothing in the text"):
            spell(text, tokenizer, **OPTIONS)
    with pytest.raises(InputError, match="never closed"):
        spell_sentences("[rate:2]Hello.", tokenizer, **OPTIONS)


@pytest.mark.parametrize(
    "text", ["[pause:1s]" * 60 + "hi.", "[pause:1s]. . [pause:1s] hi.", "hi." + " [pause:1s]" * 60]
)
def test_pauses_alone_belong_to_a_sentence_with_words(text):
    (sentence,) = spell_sentences(text, CharacterTokenizer(), **OPTIONS)
    assert sum(sentence.pauses.values()) == text.count("1s") and sentence.source == text


@pytest.mark.parametrize("style", ["plain", "tada"])
def test_respelled_parts_are_left_alone_by_the_normaliser(style):
    script = read_script("At 5 [say:x|Dr.] [say:x|St.]\ue000 paid [say:x|$5].")
    written, places = write_out(script, ["Nye", "5", "lots"], style=style, language="en")
    at = "five" if style == "plain" else "5"
    assert written.spoken.lower() == f"at {at} nye 5\ue000 paid lots."
    assert [index for index, _ in places] == [0, 1, 2]
    for (_, span), letters, shown in zip(places, ["Nye", "5", "lots"], ["Dr.", "St.", "$5"], strict=True):
        assert written.spoken[span.start : span.end] == letters
        source = written.source_span(*span)
        assert script.text[source.start : source.end] == shown
    assert written.source == script.text
    end = written.source_span(len(written.spoken) - 1, len(written.spoken))
    assert script.text[end.start : end.end] == "."


def test_without_respellings_writing_out_is_normalising():
    assert write_out(read_script("At 5."), [], style="plain", language="en")[0] == normalize("At 5.")


def names(text):
    """The letters and sounds of a text in the built-in tokenizer."""
    tokenizer = load_tokenizer()
    return " ".join(tokenizer.vocabulary[index] for index in spell(text, tokenizer, **OPTIONS).ids)


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("[say:naɪki|Nike]", "n/N i/AY k/K e/IY"),
        ("[say:/ˈnaɪki/|Nike]", "n/N i/AY k/K e/IY"),
        ("[say:NY-kee|Nike]", "n/N i/AY k/K e/IY"),
        ("[say:doctor|Dr.] Who", "d/D o/AA c/K t/T o/_ r/ER   w/_ h/HH o/UW"),
        ("[say:nu jɔɹk|New York]", "n/N e/_ w/UW   y/Y o/AO r/R k/K"),
        ("[say:toʊkioʊ|東京]", "t/T o/OW k/K y/IY o/OW"),
        ("[say:kæfeɪ|Café]", "c/K a/AE f/F e/EY"),
        ("[say:sea|C] [say:5|V]", "c/S-IY   f/F i/AY v/V e/_"),
        ("[say:knight|Knight]", "k/_ n/N i/AY g/_ h/_ t/T"),
    ],
)
def test_the_letter_sound_tokenizer_is_given_the_sounds(text, sounds):
    assert names(text) == "  " + sounds


def test_shown_letters_keep_their_places_and_others_share_one():
    source = "It's [say:naɪki|Nike]'s [say:ɛn waɪ|NY]."
    spelled = spell(source, load_tokenizer(), **OPTIONS)
    places = [source[span.start : span.end] for span in spelled.spans]
    assert places == ["", *"It's Nike's ", *["NY"] * (len(places) - 14), "."]
    assert "".join(spelled.texts).startswith(" It's Nike's ")


def test_other_tokenizers_get_english_letters():
    def spoken(text, style="plain"):
        return spell(text, CharacterTokenizer(), style=style, language="en", leading_space=False).spoken

    assert spoken("I like [say:naɪki|Nike], [say:ˈaɪnʃtaɪn|einstein].") == "I like Nighkee, eyenshtighn."
    assert spoken("[say:NY-kee|Nike]") == "NY-kee"
    assert spoken("[say:nykee 2|Nike]") == "nykee two"
    assert spoken("See [say:nykee|Nike: 5].", style="tada") == "See nykee."


@pytest.mark.parametrize(
    ("spoken", "part"),
    [
        ("naɪʘki", r"symbol 'ʘ' \(U\+0298\)"),
        ("naɪ5", "symbol '5'"),
        ("ˈˈ", "no sound"),
        ("東京", "no sound"),
        ("-", "no"),
    ],
)
def test_what_cannot_be_pronounced_is_refused(spoken, part):
    with pytest.raises(InputError, match=part):
        spell(f"It is [say:{spoken}|Nike].", load_tokenizer(), **OPTIONS)


# What the model cannot read


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("Hello 你好 there, مرحبا!", ["你好", "مرحبا"]),
        ("东a", ["东"]),
        ("Café, naïve: €3.50, ½ of π, Zoë’s e\u0301lan 🙂 - fine.", []),
        ("[say:toʊkioʊ|東京] is big.", []),
    ],
)
def test_letters_without_a_token_are_known(tokenizer, text, unread):
    assert list(spell(text, tokenizer, **OPTIONS).unread) == unread


def test_what_is_left_out_is_warned_of_once_for_all_sentences(tokenizer):
    with pytest.warns(TextWarning) as caught:
        spell_sentences("Hello 你好 there. So 你好 again, да. Well أ and ب.", tokenizer, **OPTIONS)
    (message,) = [str(item.message) for item in caught]
    assert message.startswith("this model cannot read '你好', 'да', 'أ' and 1 more and leaves it out")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spell_sentences("All of this is read.", tokenizer, **OPTIONS)


@pytest.mark.parametrize("call", ["say", "stream", "align", "encode", "voice", "continue_"])
def test_every_use_of_a_text_warns_of_what_is_left_out(tiny_model, recording, call):
    text = "Hello 你好 there, this is a test."
    given = (text,) if call in ("say", "stream") else (recording,)
    named = {} if call in ("say", "stream") else {"text": text}
    more = {"tokens": 2} if call == "continue_" else {}
    with pytest.warns(TextWarning, match="cannot read '你好' and leaves it out") as caught:
        made = getattr(tiny_model, call)(*given, **named, **more)
        list(made) if call == "stream" else None
    assert sum(issubclass(item.category, TextWarning) for item in caught) == 1


def test_reading_what_was_made_of_such_a_text_is_quiet(tiny_model, recording):
    with pytest.warns(TextWarning):
        tokens = tiny_model.encode(recording, text="Hello 你好 there.")
    assert tiny_model.decode(tokens).text == "Hello 你好 there."
