"""TASTE's stages: the smoke recipe goes from recordings to a model folder that speaks; guides measure what they say."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

import unisono
from unisono.errors import TrainingError
from unisono.families.taste.config import TasteConfig
from unisono.families.taste.model import TasteForCausalLM
from unisono.hub import builtin_folder
from unisono.train import run
from unisono.train.recipe import read_recipe
from unisono.train.stages.guides import LEAD, AttentionGuide, DurationGuide
from unisono.train.stages.taste import _renewed
from unisono.train.stages.units import jittered, unevenness

ROOT = Path(__file__).parents[2]
STAGES = ("units", "stage-1-1", "stage-1-2", "stage-1-3", "text_model", "taslm")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke recipe, four steps a stage."""
    monkey = pytest.MonkeyPatch()
    monkey.chdir(ROOT)
    try:
        return run("recipes/taste-smoke.yaml", max_steps=4, output=str(tmp_path_factory.mktemp("taste") / "run"))
    finally:
        monkey.undo()


def test_every_stage_leaves_a_curve_and_weights(trained: Path):
    for stage in STAGES:
        rows = [json.loads(line) for line in (trained / stage / "log.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows if row["kind"] == "train"] == [2, 4]
        assert rows[-1]["kind"] == "held_out" and (trained / stage / "final" / "model.safetensors").exists()
        assert list((trained / stage / "tensorboard").iterdir())


def test_stages_train_what_they_should_and_nothing_else(trained: Path):
    kept = {name: TasteForCausalLM.from_pretrained(trained / name / "final").state_dict() for name in STAGES[1:]}

    def changed(before: str, after: str) -> set[str]:
        return {name for name, value in kept[before].items() if not torch.equal(value, kept[after][name])}

    second, third = changed("stage-1-1", "stage-1-2"), changed("stage-1-2", "stage-1-3")
    assert any("audio_segmenter" in name for name in second) and not any(".vq." in name for name in second)
    assert any(".vq." in name for name in third)
    assert not any("audio_encoder.encoder" in name or "spoken_lm" in name for name in second | third)
    assert all("language_model" in name for name in changed("stage-1-3", "text_model"))
    last = changed("text_model", "taslm")
    assert all(name.startswith("spoken_lm.") for name in last)
    assert any("q_proj" in name for name in last) and not any("embed_tokens" in name for name in last)


def test_the_package_encodes_and_decodes_inside_the_built_in_model(trained: Path):
    for part in ("aligner", "tokenizer", "decoder"):
        (trained / part).symlink_to(builtin_folder() / part)
    model = unisono.load(trained / "package")
    rows = [line.split("|") for line in (ROOT / "recipes/smoke/metadata.csv").read_text().splitlines()]
    audio, text = next((ROOT / "recipes/smoke" / row[0], row[1]) for row in rows if "slt-000310" in row[0])
    tokens = model.encode(audio, text=text)
    assert tokens.codes.shape == (len(tokens.text_ids), 4)
    speech = model.decode(tokens)
    assert abs(speech.duration - tokens.frames / 50) <= 0.02
    stored = sum(file.stat().st_size for file in (trained / "package").rglob("*") if file.is_file())
    assert stored < 2_000_000  # the aligner's encoder and the decoder are not stored again


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("taste*.yaml")), ids=lambda path: path.stem)
def test_recipes_can_be_read_and_their_model_built(path: Path):
    for stage in read_recipe(path).stages:
        if stage.stage == "taste" and stage.model:
            with torch.device("meta"):
                TasteForCausalLM(TasteConfig.from_dict(stage.model))


def small_decoder(kind: str) -> torch.nn.Module:
    """A unit decoder of five units."""
    torch.manual_seed(0)
    sizes = {f"{stack}__{key}": value for stack in ("encoder", "audio_encoder", "llm")
             for key, value in {"num_blocks": 2, "attention_heads": 2, "linear_units": 8, "dropout_rate": 0.0,
                                "positional_dropout_rate": 0.0}.items()}  # fmt: skip
    widths = dict.fromkeys(("encoder_input_size", "audio_encoder_input_size", "llm_input_size", "llm_output_size"), 8)
    values = {"text_token_size": 9, "speech_token_size": 5, "spk_embed_dim": 4, "kind": kind}
    units = TasteConfig(speech_decoder_config=sizes | widths | values).units
    from unisono.families.taste.diffusion import MaskedDiffusionUnits
    from unisono.families.taste.units import AutoregressiveUnits

    return (AutoregressiveUnits if kind == "autoregressive" else MaskedDiffusionUnits)(units)


BATCH = {
    "text_ids": torch.tensor([[1, 2, 3], [4, 5, 0]]),
    "text_lengths": torch.tensor([3, 2]),
    "speaker": torch.ones(2, 4),
    "embeds": None,
    "units": torch.tensor([[0, 1, 2, 3, 4, 0], [1, 1, 2, 0, 0, 0]]),
    "unit_lengths": torch.tensor([6, 3]),
}
POSITIONS = torch.tensor([[1, 3, 5], [2, 3, 0]])


def test_the_attention_that_is_guided_is_the_attention_there_is():
    decoder = small_decoder("autoregressive")
    guide = AttentionGuide(decoder)
    decoder(**BATCH)
    x, offsets, allowed = guide.seen[:3]
    attention = guide.attention
    made, _ = attention(x, offsets, allowed)
    # The same output, by hand: head 0 from the guide, values and output projection from the module.
    weights = guide._log_attention(x, offsets, allowed).exp()
    values = attention._split(attention.linear_v(x))
    apart = made - attention.linear_out(torch.cat([weights @ values[:, 0], torch.zeros_like(values[:, 1])], -1))
    second = functional.linear(torch.ones(1, 4), attention.linear_out.weight[:, 4:])  # what head 1 may still add
    assert torch.allclose(weights.sum(-1), torch.ones(x.shape[:2]), atol=1e-5)
    assert torch.linalg.matrix_rank(torch.cat([apart.flatten(0, 1), second]).detach(), atol=1e-5) <= 4
    assert not weights.detach().triu(1).any()


def test_the_guide_of_attention_counts_the_token_spoken_and_the_next():
    decoder = small_decoder("autoregressive")
    guide = AttentionGuide(decoder)
    decoder(**BATCH)
    found = float(guide.loss(POSITIONS, BATCH["text_lengths"], BATCH["unit_lengths"]).detach())
    weights = guide._log_attention(*guide.seen[:3]).exp().detach()
    spoken = [[0, 0, 1, 1, 2, 2], [0, 0, 1]]  # token at each unit, from POSITIONS
    total = 0.0
    for row, tokens in enumerate(spoken):
        count = int(BATCH["text_lengths"][row])
        for unit, token in enumerate(tokens):
            both = {token, min(token + 1, count - 1)}
            total -= float(sum(weights[row, LEAD + count + unit, LEAD + one] for one in both).log())
    assert found == pytest.approx(total / 9, abs=1e-5)


def test_the_guide_of_durations_is_zero_for_the_durations_of_the_marks():
    decoder = small_decoder("masked_diffusion")
    guide = DurationGuide(decoder)
    wanted = torch.tensor([[2.0, 2.0, 2.0], [2.0, 1.0, 5.0]])  # from POSITIONS; the last one is padding
    guide.seen = wanted.expm1().log()[..., None]
    assert float(guide.loss(POSITIONS, BATCH["text_lengths"], BATCH["unit_lengths"])) == pytest.approx(0, abs=1e-6)
    guide.seen = guide.seen + 1
    assert float(guide.loss(POSITIONS, BATCH["text_lengths"], BATCH["unit_lengths"])) > 0.1


def test_jittered_digits_stay_within_their_levels_and_some_move():
    levels = torch.tensor([4, 2])
    digits = torch.stack([torch.randint(0, int(size), (1, 500)).float() for size in levels], -1)
    moved = jittered(digits, levels, 0.5)
    assert moved.min() == 0 and bool((moved <= levels - 1).all())
    assert 0 < (moved != digits).float().mean() < 0.5 and (moved - digits).abs().max() == 1


def test_while_it_is_trained_a_diffusion_decoder_has_its_tokens_where_they_are_spoken(monkeypatch):
    from unisono.families.taste import diffusion

    decoder = small_decoder("masked_diffusion")
    guide, places = DurationGuide(decoder), []
    own = diffusion.within_tokens

    def seen(*given):
        token, place = own(*given)
        places.append(token)
        return token, place

    monkeypatch.setattr(diffusion, "within_tokens", seen)
    uneven = torch.tensor([[1, 2, 3], [2, 3, 0]])
    guide.tell(uneven, BATCH["text_lengths"], BATCH["unit_lengths"])
    decoder(**BATCH)
    assert [row[:count].tolist() for row, count in zip(places, (6, 3), strict=True)] == [[0, 1, 2, 2, 2, 2], [0, 0, 1]]
    assert float(guide.loss(uneven, BATCH["text_lengths"], BATCH["unit_lengths"]).detach()) > 0  # its own numbers
    decoder(**BATCH)
    assert places[-2][:6].tolist() != [0, 1, 2, 2, 2, 2]  # told once, for one pass


def test_a_model_with_other_parts_keeps_what_is_not_fresh(trained: Path):
    before = TasteForCausalLM.from_pretrained(trained / "stage-1-2" / "final")
    changes = {
        "audio_tower_config": {"kwargs_for_quantizer": {"quantizer_class": "fsq", "dim": 160, "levels": [4, 4, 4]}},
        "speech_decoder_config": {"kind": "masked_diffusion"},
    }
    fresh = [r"audio_tower\.vq", "spoken_lm", "speech_decoder"]
    made = _renewed(before, changes, fresh)
    assert (made.config.tower.quantiser.levels, made.config.units.kind) == ((4, 4, 4), "masked_diffusion")
    assert made.config.units.encoder_input_size == before.config.units.encoder_input_size  # as it was
    old = before.audio_tower.audio_joint_encoder_segmenter.state_dict()
    new = made.audio_tower.audio_joint_encoder_segmenter.state_dict()
    assert all(torch.equal(old[name], value) for name, value in new.items())
    with pytest.raises(TrainingError, match="no such weights"):
        _renewed(before, changes, fresh[:2])


def test_values_used_equally_often_are_even():
    inside = torch.tensor([[True, True, True, True, False]])
    levels = torch.tensor([2, 4])
    digits = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [0.0, 2.0], [1.0, 3.0], [0.0, 0.0]]])
    assert float(unevenness(digits, levels, inside)) == pytest.approx(0, abs=1e-6)
    stuck = torch.zeros_like(digits).requires_grad_()
    lost = unevenness(stuck, levels, inside)
    assert float(lost.detach()) == pytest.approx((math.log(2) + math.log(4)) / 2, abs=1e-4)
    lost.backward()
    assert (stuck.grad[:, :4] < 0).all() and not stuck.grad[:, 4].any()  # up, where nobody is; padding says nothing
