"""The comparison that the textbook's chapters make: RNN, GRU and LSTM trained by its recipe, with its published values.

    make chapter                                    trains all three (some minutes) and writes the tables of chapter.md
    python docs/chapter.py --quick                  5 epochs of each, printed only, to see what it does
    python docs/chapter.py --text FILE --write      with a file of The Time Machine instead of fetching it

Source of the recipe and of the published values: A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning, second
edition of the Chinese version (2021), sections 8.6 and 9.1 to 9.2.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from tidegate.train import job
from tidegate.train.recipe import recipe

PAGE = Path(__file__).parent / "chapter.md"
#: Cell -> perplexity and tokens per second as published; None where the sections print none that is comparable.
PUBLISHED: dict[str, tuple[str, str | None]] = {"rnn": ("1.3", None), "gru": ("1.1", "334,788"), "lstm": ("1.1", None)}
QUICK = 5  # epochs
BEGIN, END = "<!-- measured: {} -->\n", "<!-- end -->"


def train(cell: str, text: str, out: Path, epochs: int | None) -> dict[str, Any]:
    """The summary of a run of the textbook's recipe."""
    return job.start(recipe("d2l", cell=cell, epochs=epochs), text, out, console=Console(quiet=True)).summary


def table(found: dict[str, dict[str, Any]]) -> list[str]:
    """The figures of each cell beside the published ones."""
    lines = [
        "| cell | training perplexity | published | seconds | tokens/s | published, on a GPU | "
        "held-out perplexity at the end | at the best epoch |",
        "| --- |" + " --- |" * 7,
    ]
    for cell, s in found.items():
        perplexity, rate = PUBLISHED[cell]
        lines.append(
            f"| {cell} | {s['train_ppl']:.3f} | {perplexity} | {s['seconds']:.0f} | {s['tokens_per_s']:,.0f} | "
            f"{rate or '-'} | {s['heldout_ppl']:.1f} | {s['best']['heldout_ppl']:.2f} ({s['best']['epochs']:.0f}) |"
        )
    return lines


def strings(found: dict[str, dict[str, Any]]) -> list[str]:
    """What each cell writes after the textbook's two prompts."""
    lines = ["| cell | prompt | last checkpoint | best checkpoint |", "| --- | --- | --- | --- |"]
    for cell, s in found.items():
        for each in s["continuations"]:
            lines.append(f"| {cell} | {each['prompt']} | `{each['last']}` | `{each['best']}` |")
    return lines


def setting(found: dict[str, dict[str, Any]]) -> list[str]:
    """What was run, and on what."""
    s = next(iter(found.values()))
    return [
        f"{s['epochs']:.0f} epochs of {s['text']}, seed {s['seed']}, {s['hidden']} units, {s['threads']} threads, "
        f"engine {s['engine']} on {s['device']}, torch {s['versions']['torch']}. The n-gram baseline of order "
        f"{s['baseline']['order']} has a held-out perplexity of {s['baseline']['ppl']:.2f}."
    ]


MEASURED = {"setting": setting, "figures": table, "strings": strings}


def written(page: str, found: dict[str, dict[str, Any]]) -> str:
    """The page with its tables replaced by those of `found`."""
    for name, make in MEASURED.items():
        before, begin, rest = page.partition(BEGIN.format(name))
        page = before + begin + "\n".join(make(found)) + "\n" + END + rest.partition(END)[2]
    return page


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
            print("\n".join(table({cell: found[cell]})[2:] + strings({cell: found[cell]})[2:]), flush=True)
    for make in MEASURED.values():
        print("", *make(found), sep="\n")
    if chosen.write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
