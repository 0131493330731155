"""From the command line to a composed configuration: Hydra's entry point, and what the shell is told at the end."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from dlhw.command import nobody_reads_on
from dlhw.composition_errors import explained, near
from dlhw.config import CONF
from dlhw.errors import Stopped, Terminated, UserError
from dlhw.hydra_guard import checked_before_hydra_builds
from dlhw.side_by_side import end_worker


def hydra_main(run: Callable[[DictConfig], Any]) -> None:
    """Compose the configuration of the command line and call ``run`` with it, once or, with ``-m``, for every point of the grid."""
    for flag in ("-m", "--multirun"):
        if flag in sys.argv:  # Hydra wants it before all overrides or after them
            sys.argv.remove(flag)
            sys.argv.insert(1, "--multirun")
    if "trainer=smoke" in sys.argv and not any(word.startswith("trainer.max_epochs=") for word in sys.argv):
        epochs = OmegaConf.load(CONF / "trainer" / "smoke.yaml").max_epochs  # experiments set their own
        sys.argv.insert(sys.argv.index("trainer=smoke"), f"trainer.max_epochs={epochs}")  # beside it: overrides stand together
    let_idle_threads_wait_briefly()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra hands exceptions on; else it would tell them in its own way
    if hasattr(signal, "SIGPIPE") and LOOKS.intersection(sys.argv):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # "--help | head" ends without a word
    signal.signal(signal.SIGTERM, _terminate)
    try:
        check_experiment_name(sys.argv[1:])
        sys.argv[1:] = pair_for_its_experiment(sys.argv[1:])
        with checked_before_hydra_builds():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(_Job(run))()
            sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        nobody_reads_on()
        sys.exit(128 + 13)
    except HydraException as error:
        sys.exit(f"error: {explained(error, sys.argv[1:])}")
    except KeyboardInterrupt as stop:
        print("stopped; what is finished is kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT))


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated


def let_idle_threads_wait_briefly() -> None:
    """Let threads that wait for work spin for some 50 microseconds, then sleep; to be called before torch is imported.

    The next piece of work comes sooner than that, and to wake a thread for each costs much: on two cores a training step of ``rbp_multi``
    took 50 ms with threads that sleep at once and 29 ms so. Threads that spin for longer hold up other processes.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # GNU's OpenMP, which torch brings on Linux; it takes this before the policy


# Options of Hydra that look at the configuration and train nothing.
LOOKS = {"--help", "-h", "--cfg", "-c", "--info", "-i", "--hydra-help"}


class _Job:
    """``run`` as Hydra calls it: a wrong input becomes one line, a signal the exit status that shells expect."""

    __name__ = "train"

    def __init__(self, run: Callable[[DictConfig], Any]) -> None:
        self.run = run

    def __call__(self, cfg: DictConfig) -> Any:
        in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            with _alone() if in_sweep else nullcontext():
                return self.run(cfg)
        except Stopped as stop:
            print(stop, file=sys.stderr)
            end_worker(stop.signum)
            sys.exit(128 + stop.signum)  # also ends a sweep
        except (UserError, InterpolationResolutionError) as error:
            wrong = error if isinstance(error, UserError) else UserError(str(error).partition("\n")[0])
            print(f"error: {wrong}", file=sys.stderr)
            if in_sweep:
                raise wrong from None  # noted by the launcher; the sweep goes on
            sys.exit(1)
        except Exception:
            if in_sweep:  # Hydra would show it at the end, and only the first
                traceback.print_exc()
            raise


@contextmanager
def _alone() -> Iterator[None]:
    """Make the command line of one job of a sweep look as if it had been started alone, and undo what it sets in the environment.

    On several devices Lightning starts this command line once more for each, and tells them by the environment which they are.
    """
    arguments, before = sys.argv, set(os.environ)
    sys.argv = [arguments[0], *HydraConfig.get().overrides.task]
    try:
        yield
    finally:
        sys.argv = arguments
        for name in os.environ.keys() - before:
            del os.environ[name]


def check_experiment_name(arguments: list[str]) -> None:
    """Refuse an ``experiment=`` of which there is no file: Hydra would ignore it, because a pair need not have one.

    Raises:
        UserError: with the names that are nearest.
    """
    for argument in arguments:
        key, _, name = argument.partition("=")
        if key != "experiment":
            continue
        if "," in name:
            raise UserError(f"experiment={name}: one grid would be applied to both; start one sweep for each")
        if not (CONF / "experiment" / f"{name}.yaml").is_file():
            raise UserError(f"there is no experiment {name}{near(name, experiment_names(), anyway=True)}")


def pair_for_its_experiment(arguments: list[str]) -> list[str]:
    """``experiment=TASK/MODEL`` of a pair's own file, which says neither, as ``task=TASK model=MODEL``, which take that file by themselves.

    Raises:
        UserError: the command line says another task or model as well.
    """
    for word in arguments:
        key, _, name = word.partition("=")
        if key != "experiment" or not is_pair(name):
            continue
        said = dict(zip(("task", "model"), name.split("/"), strict=True))
        for given in arguments:
            group, _, value = given.partition("=")
            if said.get(group, value) != value:
                raise UserError(f"{given}: {word} is of {' '.join('='.join(pair) for pair in said.items())}; one of the two is right")
        others = [given for given in arguments if given.partition("=")[0] not in said]
        place = others.index(word)
        return [*others[:place], *("=".join(pair) for pair in said.items()), *others[place + 1 :]]
    return arguments


def is_pair(experiment: str) -> bool:
    """Whether an experiment's file holds what a pair of task and model takes by itself."""
    task, _, model = experiment.partition("/")
    return (CONF / "task" / f"{task}.yaml").is_file() and (CONF / "model" / f"{model}.yaml").is_file()


def experiment_names() -> list[str]:
    """All experiments, as ``task/name``."""
    folder = CONF / "experiment"
    return sorted(Path(path).relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))
