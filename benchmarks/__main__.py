"""Speed and memory in comparison with torch.nn: tables on the terminal, the same numbers as JSON, one picture.

`python -m benchmarks [--grid short|medium|full] [--only NAME ...] [--out FILE]`; `--full` is `--grid full`.
"""

import argparse
import json
import time
from pathlib import Path

from benchmarks import (
    growth,
    layers,
    other_load,
    own_cell,
    precision,
    ragged,
    rates,
    start,
    steps,
    stream,
    textbook,
    words,
)
from benchmarks.pairs import Pair, machine

PARTS = {
    "textbook": textbook.run,
    "layers": layers.run,
    "ragged": ragged.run,
    "rates": rates.run,
    "stream": stream.run,
    "steps": steps.run,
    "precision": precision.run,
    "words": words.run,
    "own-cell": own_cell.run,
    "start": start.run,
    "other-load": other_load.run,
    "growth": growth.run,
}

GRID_HELP = "how many layers, and how long each is timed: about 4, 8 or 15 minutes on two cores (short by default)"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed in comparison with torch.nn.")
    parser.add_argument("--grid", choices=layers.GRIDS, default="short", help=GRID_HELP)
    parser.add_argument("--full", dest="grid", action="store_const", const="full", help="the same as --grid full")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some parts only")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks.json"), help="JSON file for the numbers")
    chosen = parser.parse_args()
    started = time.perf_counter()
    found: dict = {"machine": machine(), "grid": chosen.grid}
    print(", ".join(f"{k} {v}" for k, v in found["machine"].items()) + "\n", flush=True)
    for name in chosen.only:
        result = PARTS[name](grid=chosen.grid)
        found[name] = [r.record() if isinstance(r, Pair) else r for r in result] if isinstance(result, list) else result
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(found, indent=1))
    print(f"numbers: {chosen.out}, after {(time.perf_counter() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
