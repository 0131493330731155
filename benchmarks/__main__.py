"""Run the benchmarks and write ``benchmarks/results.md``: python -m benchmarks [--rounds 5] [--seconds 8] [--only PART]"""

import argparse
import os
import platform
from pathlib import Path

import pandas as pd
import torch

from benchmarks import ocr, rna, startup, throughput
from dlhw.hardware import computes_bf16, device_name

RESULTS = Path(__file__).parent / "results.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each pair")
    parser.add_argument("--seconds", type=float, default=8.0, help="timed seconds of each turn")
    parser.add_argument("--only", choices=("throughput", "rna", "ocr", "startup"))
    options = parser.parse_args()
    cpu = torch.device("cpu")
    auto = "bf16-mixed" if computes_bf16(cpu) else "32-true"
    machine = f"{device_name(cpu)}, {platform.system()}, torch {torch.__version__}, trainer.precision=auto is {auto} here"
    how = (
        f"{options.rounds} turns of {options.seconds:g} s, OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'not set')} for all variants"
    )
    parts = [
        f"# Benchmarks\n\nWritten by `python -m benchmarks` on {machine}; {how}. Ratios are medians over turns taken one after the other.\n"
    ]
    if options.only in (None, "throughput"):
        rows = []
        for pair in throughput.pairs(auto):
            rows.append(throughput.measure(pair, options.rounds, options.seconds))
            print(rows[-1], flush=True)
        parts.append("## Training throughput\n\n" + _table(rows))
    if options.only in (None, "rna"):
        parts.append("## RNA probes\n\n" + _table(rna.measure(options.rounds, auto)))
    if options.only in (None, "ocr"):
        parts.append("## Text lines\n\n" + _table(ocr.measure(options.rounds)))
    if options.only in (None, "startup"):
        parts.append("## Start\n\n" + _table(startup.answers(options.rounds)))
        parts.append("## Runs of 30 steps (seconds)\n\n" + _table([startup.sweep(max(1, options.rounds // 2))]))
    RESULTS.write_text("\n".join(parts))
    print("\n".join(parts))
    print(RESULTS)


def _table(rows: list[dict[str, object]]) -> str:
    frame = pd.DataFrame(rows).astype(str)
    lines = [frame.columns.tolist(), ["---"] * len(frame.columns), *frame.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
