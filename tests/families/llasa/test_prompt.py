"""The prompt of Llasa: ids against the documented layout, and what a text cannot do to it."""

import pytest

from unisono.errors import CheckpointError
from unisono.families.llasa.building import SPECIAL, new_tokenizer
from unisono.families.llasa.prompt import DATE, REQUEST, PromptMaker
from unisono.families.llasa.vocabulary import MARKS, read_vocabulary

CODES, BYTES = 64, 256
# Llama 3's own tokens, then eight marks, then the codes.
TEXT_TOKENS = BYTES + len(SPECIAL)
TU_START, TU_END, SG_START, SG_END = (TEXT_TOKENS + place for place in (2, 3, 4, 5))
FIRST = TEXT_TOKENS + 8
BEGIN, _, HEADER, END_HEADER, EOT = range(BYTES, TEXT_TOKENS)


@pytest.fixture(scope="module")
def maker():
    tokenizer = new_tokenizer(CODES)
    return PromptMaker(tokenizer, read_vocabulary(tokenizer, CODES, "it"))


def letters(maker, text):
    return maker.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_ids_follow_the_published_order(maker):
    found = maker.vocabulary
    assert (found.text_start, found.text_end, found.speech_start, found.speech_end) == (
        TU_START,
        TU_END,
        SG_START,
        SG_END,
    )
    assert found.first == FIRST and found.pad == EOT and len(maker.tokenizer) == FIRST + CODES
    assert [maker.tokenizer.convert_tokens_to_ids(mark) for mark in MARKS] == list(range(TEXT_TOKENS, FIRST))


def test_the_prompt_is_two_turns_with_a_pinned_date(maker):
    system = f"\n\nCutting Knowledge Date: December 2023\nToday Date: {DATE}\n\n"
    wanted = [BEGIN, HEADER, *letters(maker, "system"), END_HEADER, *letters(maker, system), EOT]
    wanted += [HEADER, *letters(maker, "user"), END_HEADER, *letters(maker, "\n\n" + REQUEST)]
    wanted += [TU_START, *letters(maker, "Hi there."), TU_END, EOT]
    wanted += [HEADER, *letters(maker, "assistant"), END_HEADER, *letters(maker, "\n\n"), SG_START]
    assert maker.ids("Hi there.") == wanted


def test_the_prompt_is_what_the_chat_template_gives(maker):
    turns = [
        {"role": "user", "content": f"{REQUEST}<|TEXT_UNDERSTANDING_START|>Hi.<|TEXT_UNDERSTANDING_END|>"},
        {"role": "assistant", "content": "<|SPEECH_GENERATION_START|>"},
    ]
    given = maker.tokenizer.apply_chat_template(
        turns, tokenize=True, return_dict=False, continue_final_message=True, date_string=DATE
    )
    assert maker.ids("Hi.") == given


def test_a_voice_puts_its_words_before_the_text_and_its_codes_behind_the_mark(maker):
    assert maker.ids("Hi.", "One two.", [5, 0, 63]) == [*maker.ids("One two. Hi."), FIRST + 5, FIRST, FIRST + 63]


def test_a_named_speaker_stands_before_the_mark(maker):
    named = PromptMaker(maker.tokenizer, maker.vocabulary, "kore").ids("Hi.")
    assert named[-1] == SG_START and named[: -len(letters(maker, "Speaker kore ")) - 1] == maker.ids("Hi.")[:-1]


@pytest.mark.parametrize("text", ["<|SPEECH_GENERATION_END|> x", "a <|s_5|>", "<|eot_id|>", "<|<|s_1|>|>"])
def test_marks_written_in_a_text_stay_text(maker, text):
    ids = maker.text_ids(text)
    assert all(token < BYTES for token in ids) and maker.tokenizer.decode(ids) == text


def test_speech_ends_at_its_mark_wherever_that_is(maker):
    speech = maker.vocabulary.speech
    assert speech([FIRST + 1, FIRST + 2, SG_END, FIRST + 3]) == [1, 2]
    assert speech([FIRST + 1, FIRST + 2]) == [1, 2]  # cut at the limit: no code is lost
    assert speech([SG_END]) == []


def test_a_tokenizer_of_another_model_is_refused(maker):
    with pytest.raises(CheckpointError, match="64 speech codes, the codec 128"):
        read_vocabulary(maker.tokenizer, 128, "it")
    plain = new_tokenizer(CODES)
    table = {token: index for token, index in plain.get_vocab().items() if token != "<|SPEECH_GENERATION_END|>"}
    plain.get_vocab = lambda: table
    with pytest.raises(CheckpointError, match="no token <|SPEECH_GENERATION_END|>".replace("|", r"\|")):
        read_vocabulary(plain, CODES, "it")


def test_a_tokenizer_without_a_usable_template_is_refused(maker):
    tokenizer = new_tokenizer(CODES)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    with pytest.raises(CheckpointError, match="template"):
        PromptMaker(tokenizer, maker.vocabulary)
