"""Training of Llasa: labels against an example written by hand, packing, and a recipe that ends in speech."""

from pathlib import Path

import torch
import yaml

from unisono.families.llasa import training
from unisono.families.llasa.training import Example, collate, labels_of, pack

ROOT = Path(__file__).parents[3]
PAD = 9  # the end of a turn, which pads too
X = -100


def test_labels_of_an_example_written_by_hand():
    #           begin  turn  text  turn-end  speech  code  code  end
    ids = [1, 2, 30, PAD, 50, 60, 61, 51]
    assert labels_of(Example(ids, 4), PAD) == [X, X, X, X, 50, 60, 61, 51]


def test_collated_rows_written_by_hand():
    batch = collate([Example([1, PAD, 50, 60, 61, 51], 2), Example([1, 50, 60, 51], 1)], PAD)
    assert batch["input_ids"].tolist() == [[1, PAD, 50, 60, 61, 51], [1, 50, 60, 51, PAD, PAD]]
    assert batch["labels"].tolist() == [[X, X, 50, 60, 61, 51], [X, 50, 60, 51, X, X]]
    assert batch["attention_mask"].tolist() == [[1, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]


def test_a_row_is_the_prompt_of_generation_with_codes_and_end(toy):
    text = training.Text(toy.engine.tokenizer, 64)
    codes = torch.tensor([[3], [0], [63]])
    example = text.example("Hi.", codes, 2048)
    vocabulary, prompt = text.vocabulary, toy.engine.prompts.ids("Hi.")
    first = vocabulary.first
    assert example.ids == [*prompt, first + 3, first, first + 63, vocabulary.speech_end]
    assert example.ids[example.start] == vocabulary.speech_start
    assert text.example("Hi.", codes, len(prompt) + 1).ids == [*prompt, first + 3]  # cut, without the end


def test_packed_utterances_do_not_see_each_other(toy):
    text = training.Text(toy.engine.tokenizer, 64)
    generator = torch.Generator().manual_seed(0)
    examples = [
        text.example(said, torch.randint(0, 64, (7, 1), generator=generator), 2048) for said in ("Hi.", "Bye now.")
    ]
    packed = pack(examples, text.vocabulary.pad)
    model = toy.engine.model
    with torch.no_grad():
        together = model(input_ids=packed["input_ids"], position_ids=packed["position_ids"], use_cache=False).logits[0]
        alone = torch.cat([model(input_ids=torch.tensor([e.ids]), use_cache=False).logits[0] for e in examples])
    assert torch.allclose(together, alone, atol=1e-5)
    assert packed["labels"][0, : examples[0].start].eq(X).all()


def shrunk(recipe: str, folder: Path) -> Path:
    """A recipe of the repository on the committed clips, with few steps."""
    plan = yaml.safe_load((ROOT / "recipes" / recipe).read_text())
    plan |= {"sources": [str(ROOT / "recipes" / "smoke")], "holdout": 0.15, "max_clips": 8}
    for stage in plan["stages"]:
        stage.get("data", {}).pop("max_seconds", None)
        for voice in stage.get("options", {}).get("voices", ()):
            voice.update(speaker="flite-slt", clip="flite-slt")
    path = folder / recipe
    path.write_text(yaml.safe_dump(plan))
    return path


def test_the_recipe_makes_a_folder_that_speaks(tmp_path, monkeypatch, capsys):
    from unisono.cli import main
    from unisono.train import run

    recipe = shrunk("llasa-toy.yaml", tmp_path)
    run(str(recipe), max_steps=2, output=str(tmp_path / "run"))
    assert {path.name for path in (tmp_path / "run" / "package").iterdir()} >= {"config.json", "codec", "voices"}
    monkeypatch.chdir(tmp_path)
    assert main(["say", "Hello there.", "--model", str(tmp_path / "run"), "--voice", "kathleen"]) == 0
    assert (tmp_path / "out.wav").stat().st_size > 1000
    assert "RTF" in capsys.readouterr().out
