"""The command ``python -m dlhw.explain``."""

from dlhw.explain.options import TOOL


def main(arguments: list[str]) -> int:
    """Write figures and tables of what the network of a run has learnt, and print their names.

    Raises:
        UserError: no finished run, its data is missing, a folder that cannot be written.
    """
    asked = TOOL.parsed(arguments)
    if asked is None:
        return 0
    module, options = asked
    module.explain(options)
    return 0
