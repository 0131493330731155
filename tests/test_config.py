"""Everything in conf/ composes and fits the code, and what is wrong is refused before it does anything."""

import re
from pathlib import Path
from typing import Any

import pytest
from harness import Shell, composed
from omegaconf import DictConfig, OmegaConf, open_dict

from dlhw.config import CONF, bind, check
from dlhw.errors import UserError
from dlhw.launch import experiment_names, pair_for_its_experiment

TASKS = [path.stem for path in sorted((CONF / "task").glob("*.yaml"))]
MODELS = [path.stem for path in sorted((CONF / "model").glob("*.yaml"))]
# What a task cannot know by itself.
GIVEN = {
    "medmnist": ["task.data.flag=breastmnist"],
    "images": ["task.data.path=pictures"],
    "ocr": ["task.data.path=lines"],
    "rbp": ["task.data.protein=RBP04"],
}


def assert_fits(cfg: DictConfig) -> None:
    with open_dict(cfg):
        cfg.pop("hydra", None)
    check(cfg)
    bind(cfg)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_every_pair_fits(task: str, model: str) -> None:
    assert_fits(composed(f"task={task}", f"model={model}", *GIVEN.get(task, [])))


@pytest.mark.parametrize("group", ["optim", "trainer"])
def test_every_other_group_fits(group: str) -> None:
    for path in sorted((CONF / group).glob("*.yaml")):
        if path.stem != "base":
            assert_fits(composed(f"{group}={path.stem}"))


@pytest.mark.parametrize("experiment", experiment_names())
def test_every_experiment_fits_with_its_grid(experiment: str) -> None:
    task = experiment.partition("/")[0]
    words = pair_for_its_experiment([f"experiment={experiment}"]) + GIVEN.get(task, [])
    cfg = composed(*words, hydra=True)
    assert cfg.hydra.runtime.choices.task.startswith(task)  # also where the file's name alone is given
    grid = OmegaConf.to_container(cfg.hydra.sweeper.params) if cfg.hydra.sweeper.params else {}
    assert isinstance(grid, dict)
    for key, values in grid.items():
        options = str(values).split(",")
        if (CONF / key).is_dir():
            assert all((CONF / key / f"{option}.yaml").is_file() for option in options)
        else:
            assert OmegaConf.select(cfg, key, default="no such key") != "no such key", f"{experiment}: {key}"
    assert_fits(cfg)
    assert_fits(composed(*words, *(f"{key}={str(values).split(',')[-1]}" for key, values in grid.items())))


@pytest.fixture(scope="module")
def usual() -> DictConfig:
    return composed()


RANGES = [
    ("seed", [0, 4294967295], [-1, 4294967296]),
    ("trainer.max_epochs", [1], [0, -1]),
    ("trainer.steps_per_call", [1], [0]),
    ("trainer.devices", [1, 2, "auto", [0, 1]], [0, -1, 1.5, "abc", []]),
    ("trainer.strategy", ["auto", "ddp"], ["ddp_spawn"]),
    ("trainer.steps_per_epoch", [1, None], [0]),
    ("trainer.patience", [1, None], [0]),
    ("trainer.threads", [1, None], [0]),
    ("trainer.min_delta", [0.0], [-0.1]),
    ("trainer.precision", ["auto", "32-true", "bf16-mixed"], ["fp8", "32"]),
    ("optim.lr", [1e-9], [0.0, -1.0, float("nan")]),
    ("optim.weight_decay", [0.0], [-0.1]),
    ("optim.schedule", ["constant", "cosine", "onecycle", "step"], ["linear"]),
    ("optim.warmup", [0.0, 0.9], [1.0, -0.1]),
    ("optim.step_every", [1.0], [0.0, 1.1]),
    ("optim.step_factor", [1.0], [0.0, 1.1]),
    ("optim.clip_norm", [None, 0.1], [0.0, -1.0]),
    ("optim.accumulate", [1], [0]),
    ("optim.ema", [None, 0.5], [0.0, 1.0]),
]


@pytest.mark.parametrize(("key", "right", "wrong"), RANGES, ids=[key for key, _, _ in RANGES])
def test_ranges(usual: DictConfig, key: str, right: list[Any], wrong: list[Any]) -> None:
    usual.optim.schedule, usual.trainer.patience = "step", 3  # without which some knobs do nothing
    for value in right:
        cfg = usual.copy()
        OmegaConf.update(cfg, key, value)
        check(cfg)
    for value in wrong:
        cfg = usual.copy()
        OmegaConf.update(cfg, key, value)
        with pytest.raises(UserError, match=re.escape(f"{key}={value} is out of range: ")) as caught:
            check(cfg)
        assert len(str(caught.value)) > len(f"{key}={value} is out of range: ")  # says what would be right


def test_what_must_be_given(usual: DictConfig) -> None:
    with pytest.raises(UserError, match=r"task\.data\.flag must be given"):
        check(composed("task=medmnist"))


@pytest.mark.parametrize(
    "words",
    [
        ["+trainer.callbacks.x._target_=os.mkdir", "+trainer.callbacks.x.path=made"],
        ["model._target_=os.mkdir", "+model.path=made"],
        ["+task.data.x=[{_target_:os.mkdir,path:made}]"],
        ["+trainer.callbacks.x._target_=dlhw.result.subprocess.run", "+trainer.callbacks.x.args=[mkdir,made]"],
        # Hydra's own instantiate, which a module of ours imports, would call what it is given
        ["+trainer.callbacks.x._target_=dlhw.training.instantiate", "+trainer.callbacks.x.config={_target_:os.mkdir,path:made}"],
        ["+trainer.callbacks.x._target_=dlhw.training.instantiate", "+trainer.callbacks.x.config=made"],
        # what Hydra builds for itself, before a configuration reaches the code
        ["+hydra.callbacks.x._target_=os.mkdir", "+hydra.callbacks.x.path=made"],
        ["+trainer.callbacks.x._target_=os.mkdir", "+trainer.callbacks.x.path=made", "hydra.callbacks=${trainer.callbacks}"],
        ["hydra.launcher._target_=os.mkdir", "+hydra.launcher.path=made", "-m"],
        ["hydra.sweeper._target_=os.mkdir", "+hydra.sweeper.path=made", "-m"],
    ],
)
def test_foreign_targets_are_refused_before_they_are_called(shell: Shell, words: list[str]) -> None:
    text = shell.run("trainer.accelerator=cpu", *words, status=1)
    assert "_target_=" in text
    assert "is refused" in text or "does not exist" in text
    assert "Traceback" not in text
    assert not (shell.folder / "made").exists()


@pytest.mark.parametrize("log", ["job_logging", "hydra_logging"])
def test_a_log_of_hydra_builds_nothing(shell: Shell, log: str) -> None:
    handler = "{class:logging.FileHandler,filename:made}"
    words = (f"hydra/{log}=default", f"+hydra.{log}.handlers.x={handler}", f"hydra.{log}.root.handlers=[x]")
    text = shell.run("trainer=smoke", *words, status=1)
    assert text == f"error: hydra.{log} is refused: leave it at none; a run has its log in log.txt\n"
    assert not (shell.folder / "made").exists()


def test_a_configuration_file_builds_no_objects(tmp_path: Path) -> None:
    """YAML tags that build objects are not obeyed."""
    path = tmp_path / "config.yaml"
    path.write_text(f"x: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n")
    with pytest.raises(Exception, match="python/object"):
        OmegaConf.load(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("model.chanels", r"model\.chanels is not a knob of dlhw\.models\.cnn\.CNN, which takes spec, channels, kernel"),
        ("task.data.batchsize", r"task\.data\.batchsize is not a knob of .*DigitsData, which takes normalize, batch_size"),
        ("task.module.sed", r"task\.module\.sed is not a knob of .*Classification, which takes .*label_smoothing.*seed"),
        ("optim.optimizer.momentun", r"optim\.optimizer\.momentun is not a knob of torch\.optim\.Adam"),
    ],
)
def test_unknown_knobs(usual: DictConfig, key: str, message: str) -> None:
    """A key that an experiment file misspells is not caught by Hydra."""
    cfg = usual.copy()
    with open_dict(cfg):
        OmegaConf.update(cfg, key, 1, force_add=True)
    with pytest.raises(UserError, match=message):
        bind(cfg)


def test_unknown_target(usual: DictConfig) -> None:
    cfg = usual.copy()
    cfg.model._target_ = "dlhw.models.cnn.NoSuchNetwork"
    with pytest.raises(UserError, match=r"model\._target_=dlhw\.models\.cnn\.NoSuchNetwork does not exist"):
        bind(cfg)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("--multirun experiment=bloodmnist/cnn_pool seed=0,1", "--multirun task=bloodmnist model=cnn_pool seed=0,1"),
        ("experiment=rbp/rbp_cnn task=rbp task.data.protein=RBP04", "task=rbp model=rbp_cnn task.data.protein=RBP04"),
        ("experiment=bloodmnist/softmax model=cnn", "experiment=bloodmnist/softmax model=cnn"),
        ("task=digits model=cnn", "task=digits model=cnn"),
    ],
)
def test_the_file_of_a_pair_by_its_name_is_the_pair(given, taken) -> None:
    assert pair_for_its_experiment(given.split()) == taken.split()


def test_a_smoke_run_of_an_experiment_is_short(shell: Shell) -> None:
    """Although the experiment asks for 8 epochs; but what stands on the command line counts."""
    small = ("experiment=digits/softmax", "trainer=smoke", "model.channels=[4]", "model.hidden=[8]")
    assert "epoch 2/2" in shell.run(*small)
    assert "epoch 3/3" in shell.run(*small, "trainer.max_epochs=3")
