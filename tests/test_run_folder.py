"""The folder of a run is a function of its settings, and different settings have different folders."""

import random
import re
from pathlib import Path
from typing import Any

import pytest
from harness import composed
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from dlhw.config import CONF, check
from dlhw.errors import UserError
from dlhw.run_files import read_config, write_config
from dlhw.run_folder import NOT_IDENTITY, config_hash, identity, locate, run_id

TIMER = "lightning.pytorch.callbacks.Timer"


def name(*words: str) -> str:
    """The folder that ``python train.py WORDS`` would use."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", list(words), return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        return locate(cfg).folder.as_posix()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "outputs/digits/cnn_pool/seed-0"),
        (["seed=3", "optim.lr=1e-2"], "outputs/digits/cnn_pool/lr-0.01_seed-3"),
        (["optim.lr=0.001"], "outputs/digits/cnn_pool/seed-0"),  # what it is anyway
        (["model=cnn", "task.data.batch_size=32"], "outputs/digits/cnn/batch_size-32_seed-0"),
        (["optim=sgd"], "outputs/digits/cnn_pool/optim-sgd_seed-0"),
        (["model.hidden=[64,32]", "trainer.deterministic=false"], "outputs/digits/cnn_pool/deterministic-false_hidden-64-32_seed-0"),
        (["trainer.patience=5", "trainer.max_epochs=9", "output_root=there"], "there/digits/cnn_pool/patience-5_seed-0"),
        (
            ["+trainer.callbacks.x._target_=lightning.pytorch.callbacks.Timer"],
            "outputs/digits/cnn_pool/x._target_-lightning.pytorch.callbacks.Timer_seed-0",
        ),
        (["experiment=digits/softmax", "model.softmax=output"], "outputs/digits/softmax/softmax-output_seed-0"),
        # starts from another run of the same seed, wherever the outputs are
        (["experiment=ocr/attention_after_ctc", "seed=1", "output_root=there"], "there/ocr/attention_after_ctc/seed-1"),
    ],
)
def test_names(words: list[str], expected: str) -> None:
    assert name(*words) == expected


def test_another_run_is_known_by_how_it_is_written(tmp_path: Path) -> None:
    """A run's settings are the same for every seed and folder of outputs, also once they have been written and read again."""
    found = []
    for seed, root in ((0, "outputs"), (1, str(tmp_path / "elsewhere"))):
        cfg = composed("experiment=ocr/attention_after_ctc", f"seed={seed}", f"output_root={root}")
        assert cfg.warm_start == f"{root}/ocr/ctc_vs_attention/seed-{seed}"
        write_config(tmp_path, cfg)
        assert identity(read_config(tmp_path)) == identity(cfg)
        found.append({key: value for key, value in identity(cfg).items() if key != "seed"})
        assert found[-1]["warm_start"] == "${output_root}/ocr/ctc_vs_attention/seed-${seed}"
    assert found[0] == found[1] and str(tmp_path) not in (tmp_path / "config.yaml").read_text()


def test_the_run_to_start_from_may_be_named_after_a_protein() -> None:
    assert name("experiment=rbp/adapted", "task.data.protein=RBP04") == "outputs/rbp/adapted/protein-RBP04_seed-0"
    with pytest.raises(UserError, match=r"^task\.data\.protein must be given"):
        check(composed("experiment=rbp/adapted"))


SAME = [("optim.lr=1e-3", "optim.lr=0.0010"), ("model.dropout=0", "model.dropout=0.0"), ("model.dropout=1", "model.dropout=1.0")]


@pytest.mark.parametrize("words", SAME)
def test_one_value_has_one_name(words: tuple[str, str]) -> None:
    assert name(words[0]) == name(words[1])


def other_value(value: Any, chance: random.Random) -> Any:
    """Another value of the same kind, with characters that a name must not have."""
    match value:
        case bool():
            return not value
        case int():
            return chance.choice([value + 1, -value - 1, 10 * value + 2])
        case float():
            return chance.choice([value + 0.5, -value - 1, value * 1e-9 + 1e-12, 1e30])
        case list():
            return chance.choice([[], [-1, 2], [1, 2], [12], [1, -2], [1.5], [*value, 1]])
        case _:
            return chance.choice(["a_b", "a-b", "a b", "ä", "a/b", "a=b,c", "none", None, "lr-0.1_seed-0", "x" * 200, "x" * 199 + "y"])


def test_different_settings_have_different_names() -> None:
    """600 random sets of overrides of a dozen knobs, so that values meet again."""
    chance, everything = random.Random(0), identity(composed())
    defaults = {key: everything[key] for key in [*chance.sample(sorted(everything), 12), "model.hidden", "model.pool", "seed"]}
    choices = [{}, {"model": "cnn"}, {"optim": "sgd"}, {"model": "cnn", "optim": "sgd"}]
    settings_of: dict[str, str] = {}
    for _ in range(600):
        keys = chance.sample(sorted(defaults), chance.randint(0, 4))
        settings = defaults | {key: other_value(defaults[key], chance) for key in keys}
        settings["seed"] = chance.randint(0, 3)
        chosen = chance.choice(choices)
        run = run_id(settings, defaults, chosen)
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,220}", run)
        assert run.endswith(f"seed-{settings['seed']}")
        fingerprint = f"{config_hash(settings)} {chosen}"
        assert settings_of.setdefault(run, fingerprint) == fingerprint
        assert run == run_id(dict(reversed(settings.items())), defaults, chosen)


def test_a_knob_named_like_a_group() -> None:
    """``task.data.model`` must not hide that another model was chosen."""
    defaults = {"task.data.model": 1, "model.pool": "max", "seed": 0}
    assert run_id(defaults | {"task.data.model": 2}, defaults, {"model": "cnn"}) == "data.model-2_model-cnn_seed-0"


def test_places_are_no_part_of_the_identity() -> None:
    here, there = composed(), composed("data_root=/x", "output_root=/y", "trainer.max_epochs=3", "trainer.threads=1")
    assert identity(here) == identity(there)
    assert not set(NOT_IDENTITY) & identity(here).keys()
    assert config_hash(identity(here)) != config_hash(identity(composed("optim.lr=0.5")))
