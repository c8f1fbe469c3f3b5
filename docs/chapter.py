"""The comparison that the textbook's chapters make: RNN, GRU and LSTM trained by its recipe, with its published values.

    make chapter                                    trains all three (a minute) and writes the tables of chapter.md
    python docs/chapter.py --quick                  5 epochs of each, printed only, to see what it does
    python docs/chapter.py --text FILE --write      with a file of The Time Machine instead of fetching it

Source of the recipe and of the published values: A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning, second
edition of the Chinese version (2021), sections 8.6 and 9.1 to 9.2.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from measured.tables import table, write
from tidegate.train import job
from tidegate.train.recipe import recipe

PAGE = Path(__file__).parent / "chapter.md"
#: Cell -> perplexity and tokens per second as published; None where the sections print none that is comparable.
PUBLISHED: dict[str, tuple[str, str | None]] = {"rnn": ("1.3", None), "gru": ("1.1", "334,788"), "lstm": ("1.1", None)}
QUICK = 5  # epochs


def train(cell: str, text: str, out: Path, epochs: int | None) -> dict[str, Any]:
    """The summary of a run of the textbook's recipe."""
    return job.start(recipe("d2l", cell=cell, epochs=epochs), text, out, console=Console(quiet=True)).summary


def figures(found: dict[str, dict[str, Any]]) -> list[str]:
    """The figures of each cell beside the published ones."""
    head = ["cell", "training perplexity", "published", "seconds", "tokens/s", "published, on a GPU"]
    head += ["held-out perplexity at the end", "at the best epoch"]
    rows = []
    for cell, s in found.items():
        perplexity, rate = PUBLISHED[cell]
        best = f"{s['best']['heldout_ppl']:.2f} ({s['best']['epochs']:.0f})"
        speed = [f"{s['seconds']:.0f}", f"{s['tokens_per_s']:,.0f}", rate or "-"]
        rows.append([cell, f"{s['train_ppl']:.3f}", perplexity, *speed, f"{s['heldout_ppl']:.1f}", best])
    return table(head, rows)


def strings(found: dict[str, dict[str, Any]]) -> list[str]:
    """What each cell writes after the textbook's two prompts."""
    rows = (
        [cell, each["prompt"], f"`{each['last']}`", f"`{each['best']}`"]
        for cell, s in found.items()
        for each in s["continuations"]
    )
    return table(["cell", "prompt", "last checkpoint", "best checkpoint"], rows)


def setting(found: dict[str, dict[str, Any]]) -> list[str]:
    """What was run, and on what."""
    s = next(iter(found.values()))
    return [
        f"{s['epochs']:.0f} epochs of {s['text']}, seed {s['seed']}, {s['hidden']} units, {s['threads']} threads, "
        f"engine {s['engine']} on {s['device']}, torch {s['versions']['torch']}. The n-gram baseline of order "
        f"{s['baseline']['order']} has a held-out perplexity of {s['baseline']['ppl']:.2f}."
    ]


MEASURED = {"setting": setting, "figures": figures, "strings": strings}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} epochs of each cell; nothing is written")
    parser.add_argument("--text", default="time-machine", help="a corpus of `tidegate data`, or a file [time-machine]")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/chapter.md")
    chosen = parser.parse_args(arguments)
    if chosen.quick and chosen.write:
        parser.error("--quick is too short for the page: leave out --write")
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for cell in PUBLISHED:
            found[cell] = train(cell, chosen.text, Path(folder) / cell, QUICK if chosen.quick else None)
            print("\n".join(figures({cell: found[cell]})[2:] + strings({cell: found[cell]})[2:]), flush=True)
    for make in MEASURED.values():
        print("", *make(found), sep="\n")
    if chosen.write:
        write(PAGE, {name: partial(make, found) for name, make in MEASURED.items()})


if __name__ == "__main__":
    main()
