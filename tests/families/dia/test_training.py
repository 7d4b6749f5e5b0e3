"""Training of Dia: the recipe ends in speech, and LoRA changes few weights and is merged."""

from pathlib import Path

import torch
import yaml

ROOT = Path(__file__).parents[3]


def shrunk(folder: Path) -> tuple[Path, dict]:
    """The recipe of the repository on the committed clips."""
    plan = yaml.safe_load((ROOT / "recipes" / "dia-toy.yaml").read_text())
    plan |= {"sources": [str(ROOT / "recipes" / "smoke")], "holdout": 0.15, "max_clips": 8}
    codec, _, model, package = plan["stages"]
    codec["options"]["batch_clips"] = 1
    model["batch"] = 400
    package["options"]["voices"][0].update(speaker="flite-slt", clip="flite-slt")
    path = folder / "dia.yaml"
    path.write_text(yaml.safe_dump(plan))
    return path, plan


def test_the_recipe_makes_a_folder_that_speaks_and_lora_goes_on_from_it(tmp_path, monkeypatch):
    from unisono.cli import main
    from unisono.families.dia import training
    from unisono.train import run

    recipe, plan = shrunk(tmp_path)
    folder = tmp_path / "run"
    run(str(recipe), max_steps=2, output=str(folder))
    monkeypatch.chdir(tmp_path)
    assert main(["say", "Hello there.", "--model", str(folder), "--voice", "kathleen"]) == 0
    assert (tmp_path / "out.wav").stat().st_size > 1000

    lora = {"r": 2, "lora_alpha": 4}
    tuned = {
        "stage": "code_model",
        "name": "tuned",
        "init": "code_model/final",
        "batch": 400,
        "data": {"max_seconds": 4.0},
    }
    plan["stages"].append(tuned | {"options": {"lora": lora}, "optimizer": {"steps": 2, "warmup": 1, "ema": 0.0}})
    recipe.write_text(yaml.safe_dump(plan))
    run(str(recipe), max_steps=2, output=str(folder), resume=True)
    before, after = (training.load_model(folder / part / "final").state_dict() for part in ("code_model", "tuned"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.split(".")[-2] in training.lora_targets() for name in changed)
