"""What runs have found: read back, summed up over seeds, compared, checked, kept. ``python -m dlhw.results --help`` lists the commands."""

from dlhw.results.load import Run, finished_result, load_run, load_runs, read_settings

__all__ = ["Run", "finished_result", "load_run", "load_runs", "read_settings"]
