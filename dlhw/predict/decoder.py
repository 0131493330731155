"""How texts are read off a network's outputs when it is used: as the run was tested, or as the keys of ``predict.py`` ask for."""

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from dlhw.predict.options import Options

if TYPE_CHECKING:
    from dlhw.decoding import Decode
    from dlhw.results import Run
    from dlhw.tasks.transcribe import Transcription


def given_settings(run: "Run", options: Options) -> "Decode":
    """The run's own settings with those that ``options`` sets to something.

    Raises:
        UserError: one of them is out of range or would do nothing.
    """
    from dlhw.decode import combined
    from dlhw.decoding import Decode

    names = [field.name for field in fields(Decode) if hasattr(options, field.name)]
    given: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
    return combined(run, given)


def told(task: "Transcription", settings: "Decode") -> str:
    """The method and the settings that count, as ``beam (width=10, lm_weight=0.2)``."""
    used = task.head.used(settings)
    values = ", ".join(f"{name}={value}" for name, value in asdict(settings).items() if name in used)
    return f"{settings.method} ({values})" if values else settings.method
