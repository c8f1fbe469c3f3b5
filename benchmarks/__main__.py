"""`python -m benchmarks [--full] [--only NAME ...] [--out FILE]`: tables to the terminal, the same numbers as JSON."""

import argparse
import json
from pathlib import Path

from benchmarks import growth, layers, neighbour, own_cell, ragged, rates, textbook
from benchmarks.pairs import Pair, machine

PARTS = {
    "textbook": textbook.run,
    "layers": layers.run,
    "ragged": ragged.run,
    "rates": rates.run,
    "own-cell": own_cell.run,
    "neighbour": neighbour.run,
    "growth": growth.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed beside torch.nn.")
    parser.add_argument(
        "--full", action="store_true", help="the whole grid of layers and longer runs (about 20 minutes)"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some parts only")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks.json"), help="where the numbers go")
    chosen = parser.parse_args()
    found: dict = {"machine": machine()}
    print(", ".join(f"{k} {v}" for k, v in found["machine"].items()) + "\n", flush=True)
    for name in chosen.only:
        result = PARTS[name](full=chosen.full)
        found[name] = [r.record() if isinstance(r, Pair) else r for r in result] if isinstance(result, list) else result
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(found, indent=1))
    print(f"numbers: {chosen.out}")


if __name__ == "__main__":
    main()
