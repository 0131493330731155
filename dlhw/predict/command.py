"""The command ``predict.py``."""

from dlhw.predict.options import TOOL


def main(arguments: list[str]) -> int:
    """Write the predictions; status 1 where part of the input could not be read.

    Raises:
        UserError: no finished run, missing or unreadable input, an output that cannot be written.
    """
    asked = TOOL.parsed(arguments)
    if asked is None:
        return 0
    reader, options = asked
    return 0 if reader.predict(options) else 1
