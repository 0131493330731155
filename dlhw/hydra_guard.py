"""What Hydra may build for itself: its callbacks, launcher, sweeper and log handlers are made before any code of this project is called."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf

from dlhw.config import targets
from dlhw.errors import UserError

KNOWN = (
    "hydra_plugins.grid_sweeper.GridSweeper",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
)


@contextmanager
def checked_before_hydra_builds() -> Iterator[None]:
    """Have Hydra's part of each configuration checked where it is composed; Hydra itself has no hook that comes so early."""
    load = ConfigLoaderImpl.load_configuration

    def load_and_check(*arguments: Any, **options: Any) -> DictConfig:
        try:
            cfg = load(*arguments, **options)
        except ValueError as error:  # of a group that is to be null, say
            raise UserError(f"the configuration cannot be composed: {error}") from None
        check_hydra(cfg)
        return cfg

    ConfigLoaderImpl.load_configuration = load_and_check  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = load  # type: ignore[method-assign]


def check_hydra(cfg: DictConfig) -> None:
    """Refuse what Hydra's own part of a configuration would have built, but for the launchers and sweepers known here.

    Raises:
        UserError: naming the key.
    """
    for part in ("callbacks", "launcher", "sweeper"):
        built = OmegaConf.select(cfg, f"hydra.{part}")
        for key, node in targets(OmegaConf.to_container(built, resolve=True), f"hydra.{part}") if OmegaConf.is_config(built) else ():
            if node["_target_"] not in KNOWN:
                raise UserError(f"{key}._target_={node['_target_']} is refused: Hydra builds nothing here but {', '.join(KNOWN)}")
    for key in ("job_logging", "hydra_logging"):
        if OmegaConf.select(cfg.hydra, f"{key}.root") is not None:  # a handler of a log can be any function
            raise UserError(f"hydra.{key} is refused: leave it at none; a run has its log in log.txt")
