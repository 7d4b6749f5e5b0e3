"""Many texts at once: a row is what it is alone, whatever stands beside it, and may come and go."""

import itertools

import numpy as np
import pytest
import torch

from unisono import hub
from unisono.errors import GenerationError, InputError
from unisono.families.tada import choices
from unisono.families.tada.engine import lanes
from unisono.families.tada.rows import Rows
from unisono.lm import graphs
from unisono.lm.packing import steady
from unisono.lm.rows import RowCache

TEXTS = ["Hello there.", "One, two. Three four five! Is it six?", "A", "Dr. Smith paid $3.50 — twice (really)."]


def check_row(made, alone, tolerance=1e-4):
    """The contract of a row."""
    assert [token.position for token in made.tokens] == [token.position for token in alone.tokens]
    assert len(made.audio) == len(alone.audio) and np.abs(made.audio - alone.audio).max() <= tolerance
    assert made.words == alone.words and made.text == alone.text


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"guidance": 1.0},
        {"candidates": 2},
        {"speed": 0.8},
        {"speed_up_factor": 1.3},
        {"text_guidance": 1.0},
        {"speaker_threshold": -1.0},
    ],
    ids=str,
)
def test_a_batch_row_is_what_it_is_alone(tiny_model, options):
    texts = [*TEXTS[:2], "Wait. [pause:0.5s] Now [rate:2]quick[/rate]."]
    for made, text in zip(tiny_model.say(texts, seed=7, **options), texts, strict=True):
        check_row(made, tiny_model.say(text, seed=7, **options))


def test_batch_of_voices(tiny_model, recording):
    other = tiny_model.voice(recording, text="Something else is said.")
    texts, voices = ["Hello there.", "Hello there.", "And you?"], [other, None, other]
    made = tiny_model.say(texts, voice=voices, seed=2)
    for one, text, voice in zip(made, texts, voices, strict=True):
        check_row(one, tiny_model.say(text, voice=voice, seed=2))
    assert not np.array_equal(made[0].audio, made[1].audio)
    with pytest.raises(InputError, match="2 voices for 3 texts"):
        tiny_model.say(texts, voice=voices[:2])


def test_batch_refuses_before_it_speaks(tiny_model, monkeypatch):
    monkeypatch.setattr(Rows, "join", lambda *args: pytest.fail("spoke"))
    with pytest.raises(InputError):
        tiny_model.say(["Hello.", "..."])


def test_batch_counts_its_steps(tiny_model):
    seen = []
    tiny_model.say(TEXTS, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {seen[-1][0]} and [done for done, _ in seen] == sorted(d for d, _ in seen)


def test_batch_rows_join_and_leave_while_others_go_on(tiny_model):
    engine = tiny_model.engine(rows=2)
    jobs = [tiny_model.submit(engine, text, seed=3) for text in TEXTS]
    given_up = tiny_model.submit(engine, TEXTS[1], seed=4)
    for _ in range(9):
        engine.step()
    engine.cancel(given_up)
    late = tiny_model.submit(engine, "Am I late?", seed=5)
    while engine.step():
        assert len(engine.rows.rows) <= 2
    for job, text in zip(jobs, TEXTS, strict=True):
        sound = np.concatenate([piece.audio for piece in job.pieces])
        alone = [piece.audio for piece in tiny_model.stream(text, seed=3)]
        assert job.done and job.error is None and len(job.pieces) == len(alone)
        assert np.abs(sound - np.concatenate(alone)).max() <= 1e-4
    assert late.done and late.pieces and given_up.done and not given_up.pieces


def test_batch_rows_may_rest_and_take_nobodys_room(tiny_model):
    engine = tiny_model.engine(rows=1)
    resting, other = (tiny_model.submit(engine, text, seed=3) for text in TEXTS[:2])
    for _ in range(4):
        engine.step()
    position = resting.row.state.position
    while not other.done:
        engine.step([resting])
    assert resting.row.state.position == position and other.error is None
    sound = np.concatenate([piece.audio for piece in (engine.finish(resting))])
    alone = np.concatenate([piece.audio for piece in tiny_model.stream(TEXTS[0], seed=3)])
    assert np.abs(sound - alone).max() <= 1e-4


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_batch_on_several_threads_says_what_is_said_on_one(tiny_model, monkeypatch, threads):
    monkeypatch.setattr("unisono.families.tada.speech.lanes", lambda model: threads)
    seen = []
    made = tiny_model.say(TEXTS, seed=3, progress=lambda *far: seen.append(far))
    for one, text in zip(made, TEXTS, strict=True):
        check_row(one, tiny_model.say(text, seed=3))
    assert seen[-1][0] == seen[-1][1] and [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_batch_on_several_threads_gives_up_where_one_text_fails(tiny_model, monkeypatch):
    monkeypatch.setattr("unisono.families.tada.speech.lanes", lambda model: 2)
    pick, calls = choices.pick, itertools.count()  # whose next() no two threads get alike

    def spoiled(model, plan, seen, solved):
        return pick(model, plan, seen, solved * (float("nan") if next(calls) > 1 else 1))

    monkeypatch.setattr(choices, "pick", spoiled)
    with pytest.raises(GenerationError, match="finite"):
        tiny_model.say(TEXTS, seed=3)


def test_several_threads_where_nobody_asked_for_few(tiny_model, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(2)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert lanes(tiny_model.model) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert lanes(tiny_model.model) == 1


def test_batch_row_that_fails_does_not_stop_the_others(tiny_model, monkeypatch):
    engine = tiny_model.engine()
    good, bad = (tiny_model.submit(engine, "Hello there.", seed=seed) for seed in (1, 2))
    pick = choices.pick

    def spoiled(model, plan, seen, solved):
        broken = bad.row is not None and plan is bad.row.plan
        return pick(model, plan, seen, solved * float("nan") if broken else solved)

    monkeypatch.setattr(choices, "pick", spoiled)
    while engine.step():
        pass
    assert isinstance(bad.error, GenerationError) and good.error is None and good.pieces


@pytest.mark.parametrize("packing", ["none", "half", "int8"])
def test_cached_rows_step_as_a_row_alone(tiny_folder, packing):
    model = hub.load(tiny_folder, device="cpu", quantize=packing).model
    backbone, generator = model.runner(), torch.Generator().manual_seed(0)
    alone, slots, steps = [], [], []
    cache, masked = RowCache(backbone, 2), RowCache(backbone, 2, by_row=False)
    with torch.inference_mode():
        for past in (3, 70, 11, 0, 140):
            embeds = torch.randn(1, past, 16, generator=generator)
            steps.append(torch.randn(6, 2, 16, generator=generator))
            _, single = backbone.start(embeds, torch.tensor([0, 0]), past + 2)
            slots.append(cache.join(single))
            assert masked.join(single) == slots[-1]
            alone.append(torch.stack([backbone.step(step, single) for step in steps[-1]]))
        for index in range(6):
            embeds = torch.stack([row[index] for row in steps])
            wanted = torch.stack([row[index] for row in alone])
            torch.testing.assert_close(cache.step(embeds, slots), wanted, atol=1e-5, rtol=0)
            if packing != "int8":
                torch.testing.assert_close(masked.step(embeds, slots), wanted, atol=1e-5, rtol=0)
    cache.leave(slots[1])
    assert cache.join(single) == slots[1]


def test_cached_rows_give_back_what_a_long_one_took(tiny_model):
    backbone, generator = tiny_model.model.runner(), torch.Generator().manual_seed(0)
    cache = RowCache(backbone, 2)
    with torch.inference_mode():
        short, *long = (
            backbone.start(torch.randn(1, past, 16, generator=generator), torch.tensor([0, 0]), past + 9)[1]
            for past in (10, 2000, 2000, 2000)
        )
        slots = [cache.join(single) for single in (short, *long)]
        most = cache.stored.numel()
        embeds = torch.randn(5, 2, 16, generator=generator)
        wanted = torch.stack([backbone.step(embed, short) for embed in embeds])
        heard = [cache.step(embeds[:1], slots[:1])]
        for embed, slot in zip(embeds[1:4], slots[1:], strict=True):
            cache.leave(slot)
            heard.append(cache.step(embed[None], slots[:1]))
        assert cache.stored.numel() < most / 50
        assert cache.join(short) == 1
        heard.append(cache.step(embeds[4:], slots[:1]))
    torch.testing.assert_close(torch.cat(heard), wanted, atol=1e-5, rtol=0)
    cache.leave(1)
    cache.leave(0)
    assert cache.stored is None and cache.lengths == []
    assert cache.join(short) == 0


@pytest.mark.parametrize("count", [1, 2, 3, 5, 17, 40])
def test_a_steady_product_does_not_depend_on_the_batch(count):
    generator = torch.Generator().manual_seed(0)
    weight, rows = torch.randn(24, 64, generator=generator), torch.randn(count, 64, generator=generator)
    torch.testing.assert_close(steady(weight, rows), rows @ weight.T)
    assert torch.equal(steady(weight, rows)[:1], steady(weight, rows[:1]))
    linear = torch.nn.Linear(64, 8)
    assert torch.equal(steady(linear, rows)[:1], steady(linear, rows[:1]))


def test_batch_of_the_built_in_model_is_bit_for_bit_what_is_said_alone():
    model = hub.load(None, device="cpu")
    texts = ["Every token of text.", "Hello.", "So that text and sound move in unison."]
    assert model.model.packing == "half"
    for made, text in zip(model.say(texts, seed=7), texts, strict=True):
        check_row(made, model.say(text, seed=7))


def test_cached_steps_of_fixed_shape_equal_those_of_growing_shape(tiny_model, monkeypatch):
    """What a CUDA graph would replay, run without one, two generations in turns."""
    monkeypatch.setattr(graphs, "ROUND", 16)
    backbone, generator = tiny_model.model.runner(), torch.Generator().manual_seed(0)
    fixed, held = graphs.StaticBackbone(backbone, capture=False), []
    with torch.inference_mode():
        for past in (20, 0, 3):
            prompt = torch.randn(1, past, 16, generator=generator)
            wanted, cache = backbone.start(prompt, torch.tensor([0, 0]), past + 4)
            hidden, static = fixed.start(prompt, torch.tensor([0, 0]), past + 4)
            assert torch.equal(hidden, wanted)
            held = [*held[-1:], (cache, static)]
            for _ in range(40):  # beyond the capacity that was asked for
                for growing, same in held:
                    embeds = torch.randn(2, 16, generator=generator)
                    made = fixed.step(embeds, same)
                    torch.testing.assert_close(made, backbone.step(embeds, growing), atol=1e-5, rtol=0)
    made = sum(map(len, fixed.free.values()))
    held, cache, static = [], None, None
    assert sum(map(len, fixed.free.values())) == made + 1  # only the last two were in use, one of them still in `same`
    del same
    assert sum(map(len, fixed.free.values())) == made + 2
    assert len({id(buffers) for spare in fixed.free.values() for buffers in spare}) == made + 2


def test_graphs_need_a_gpu(tiny_model):
    with pytest.raises(InputError, match="CUDA"):
        tiny_model.model.use_graphs()
    assert tiny_model.model.use_graphs(False).runner() is tiny_model.model.plain_runner()
