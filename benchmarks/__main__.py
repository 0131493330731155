"""Run the benchmarks and write ``benchmarks/results.md``: python -m benchmarks [--rounds 5] [--seconds 8] [--only PART]"""

import argparse
import os
import platform
from pathlib import Path

import pandas as pd
import torch

from benchmarks import ocr, rna, startup, throughput
from dlhw.atomic_file import write_text
from dlhw.hardware import computes_bf16, device_name

RESULTS = Path(__file__).parent / "results.md"
HEAD = """# Benchmarks

Written by `python -m benchmarks`. Ratios are medians over turns taken one after the other; the load is the average number of processes
that wanted to run in the quarter of an hour before.
"""


PARTS = ("throughput", "rna", "ocr", "startup")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each pair")
    parser.add_argument("--seconds", type=float, default=8.0, help="timed seconds of each turn")
    parser.add_argument("--only", choices=PARTS)
    options = parser.parse_args()
    cpu = torch.device("cpu")
    auto = "bf16-mixed" if computes_bf16(cpu) else "32-true"
    machine = f"{device_name(cpu)}, {platform.system()}, torch {torch.__version__}, trainer.precision=auto is {auto} here"
    load = f"{os.getloadavg()[2]:.1f}" if hasattr(os, "getloadavg") else "unknown"  # Windows has none
    how = f"{options.rounds} turns, load {load} before"
    for part in [options.only] if options.only else PARTS:
        sections = read_sections()
        for title, rows in measured(part, options.rounds, options.seconds, auto).items():
            sections[title] = f"On {machine}; {how}.\n\n{_table(rows)}"
            print(f"## {title}\n\n{sections[title]}", flush=True)
        write_text(RESULTS, HEAD + "".join(f"\n## {title}\n\n{text.strip()}\n" for title, text in sections.items()))
    print(RESULTS)


def measured(part: str, rounds: int, seconds: float, auto: str) -> dict[str, list[dict[str, object]]]:
    """The tables of a part by their titles."""
    match part:
        case "throughput":
            return {"Training throughput": [throughput.measure(pair, rounds, seconds) for pair in throughput.pairs(auto)]}
        case "rna":
            return {"RNA probes": rna.measure(rounds, seconds, auto)}
        case "ocr":
            return {"Text lines": ocr.measure(rounds, seconds, auto)}
    return {"Start": startup.answers(rounds), "Runs of 30 steps (seconds)": [startup.sweep(max(1, rounds // 2))]}


def read_sections() -> dict[str, str]:
    """What was measured before, by title: a part that is measured again leaves the others as they are."""
    _, *parts = RESULTS.read_text(encoding="utf-8").split("\n## ") if RESULTS.exists() else [""]
    return {title: text for title, _, text in (part.partition("\n") for part in parts)}


def _table(rows: list[dict[str, object]]) -> str:
    frame = pd.DataFrame(rows).astype(str)
    lines = [frame.columns.tolist(), ["---"] * len(frame.columns), *frame.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
