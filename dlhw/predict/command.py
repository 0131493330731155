"""The command ``predict.py``: which module answers for a run."""

import importlib
from pathlib import Path

from dlhw.predict.options import USAGE, given, typed

# What a run was trained on: the module of this package that reads such input.
READERS = {"ImageSpec": "pictures", "SequenceSpec": "sequences", "TextSpec": "words", "LineSpec": "lines"}


def main(arguments: list[str]) -> int:
    """Write the predictions; status 1 where part of the input could not be read.

    Raises:
        UserError: no finished run, missing or unreadable input, an output that cannot be written.
    """
    if arguments in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    values = given(arguments)
    from dlhw.results import finished_result  # imports pandas: only once the keys are there

    kind = finished_result(Path(values["run"]))["spec"]["spec"]
    reader = importlib.import_module(f"dlhw.predict.{READERS[kind]}")
    return 0 if reader.predict(typed(values, reader.Options)) else 1
