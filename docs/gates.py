"""The measurements and figures of docs/gates.md: `python docs/gates.py` prints the tables.

--write writes them into the page and draws the figures. --quick trains one network where the page has five, and
compares cells over two seeds in place of ten: less than a minute, for a first look. About four minutes of one
processor core otherwise.
"""

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from measured import gate_figures, lags
from measured.exact_gates import constructed, exact
from measured.gate_tables import gates_around, with_gates_set
from measured.situations import SITUATIONS
from measured.tables import Measure, show, write

FOLDER = Path(__file__).parent
SEEDS, QUICK_SEEDS = (0, 1, 2, 3, 4), (0,)


def measured(seeds: tuple[int, ...], effort: lags.Effort) -> Mapping[str, Measure]:
    """What to measure for each table of the page, by its name."""
    return {
        **{name: partial(gates_around, name, seeds) for name in SITUATIONS},
        "gates set": partial(with_gates_set, seeds),
        "exact": exact,
        "constructed": partial(constructed, seeds),
        "lags": partial(lags.lags, effort),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--write", action="store_true", help="write the tables into gates.md and draw the figures")
    one.add_argument("--quick", action="store_true", help="print what fewer networks give")
    chosen = parser.parse_args()
    if chosen.write:
        write(FOLDER / "gates.md", measured(SEEDS, lags.FULL))
        for name in SITUATIONS:
            gate_figures.draw(name, SEEDS, FOLDER / f"gates-{name}.png")
    else:
        show(measured(QUICK_SEEDS, lags.QUICK) if chosen.quick else measured(SEEDS, lags.FULL))


if __name__ == "__main__":
    main()
