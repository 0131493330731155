"""What a command costs before anything is trained, and what a run costs in a sweep against a process of its own."""

import statistics
import subprocess
import sys
import tempfile
import time

RUNS, STEPS = 20, 30
MISTYPED = ["optim.lrr=1"]


def answers(rounds: int) -> list[dict[str, object]]:
    """Seconds until ``--help``, a mistyped key and the skip of a finished run have answered."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = ["task=digits", "model=cnn_pool", "trainer=smoke", f"output_root={folder}"]
        _seconds(tiny)
        commands = {"--help": ["--help"], "a mistyped key": MISTYPED, "a finished run is skipped": tiny}
        return [
            {"command": name, "seconds": round(statistics.median(times), 2), "most": round(max(times), 2)}
            for name, arguments in commands.items()
            for times in [[_seconds(arguments) for _ in range(rounds)]]
        ]


def sweep(rounds: int) -> dict[str, object]:
    """20 runs of 30 steps in one sweep against a process for each; the processes are timed ``rounds`` times, in turn with the sweep."""
    settings = [
        "task=digits",
        "model=cnn_pool",
        "trainer.max_epochs=1",
        f"trainer.steps_per_epoch={STEPS}",
        "task.data.batch_size=32",
        "trainer.final_pictures=false",
    ]
    processes: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        processes += [_seconds([*settings, f"seed={seed}", f"output_root={folder}/single"]) for seed in range(rounds)]
        in_sweep = _seconds([*settings, f"seed=range({RUNS})", f"output_root={folder}/sweep", "-m"])
        processes += [_seconds([*settings, f"seed={seed}", f"output_root={folder}/single"]) for seed in range(rounds, 2 * rounds)]
    ratios = [RUNS * single / in_sweep for single in processes]
    return {
        "a process": round(statistics.median(processes), 2),
        f"sweep of {RUNS}": round(in_sweep, 2),
        "ratio": round(statistics.median(ratios), 1),
        "least": round(min(ratios), 1),
        "most": round(max(ratios), 1),
        "target": 10,
    }


def _seconds(arguments: list[str]) -> float:
    begin = time.perf_counter()
    ended = subprocess.run([sys.executable, "train.py", *arguments], capture_output=True, text=True, check=False)
    if ended.returncode and arguments != MISTYPED:  # what fails early must not look fast
        raise SystemExit(f"train.py {' '.join(arguments)} failed: {ended.stderr}")
    return time.perf_counter() - begin
