"""Run the comparisons of docs/findings.md and make its tables: `python docs/findings.py [SECTION ...]`.

--write puts the tables into the page; without it they are printed. Finished jobs are kept in runs/findings, so that a
run that was stopped continues. --quick runs every command with two cells, few steps and small networks, in minutes, to
test that all of it works; its numbers mean nothing, so it never writes the page.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measured.comparisons.sections import SECTIONS, Section
from measured.comparisons.small import smaller
from measured.tables import replaced
from tidegate.cli.app import app

PAGE = Path(__file__).parent / "findings.md"
FOLDER = Path("runs/findings")


def compare(folder: Path, arguments: list[str]) -> Mapping[str, Any]:
    """The content of compare.json after `tidegate compare ARGUMENTS --out FOLDER`."""
    app(["compare", *arguments, "--out", str(folder)], standalone_mode=False)
    return json.loads((folder / "compare.json").read_text(encoding="utf-8"))


def lines(section: Section, results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The commands of a section, and its table."""
    commands = [f"tidegate compare {text} --out {FOLDER / name}" for name, text in section.commands.items()]
    needed = [*section.commands, *(name for other in section.also for name in SECTIONS[other].commands)]
    shown = ["```sh", *commands, "```", ""] if commands else []
    return [*shown, *section.table([results[name] for name in needed])]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)} [all]")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/findings.md")
    parser.add_argument("--quick", action="store_true", help="small networks and few steps, to test the commands")
    given = parser.parse_args()
    unknown = [name for name in given.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]}; sections: {', '.join(SECTIONS)}")
    if given.write and given.quick:
        parser.error("--write needs the results of the full commands, without --quick")
    with TemporaryDirectory() as small:
        run(given.sections or SECTIONS, Path(small) if given.quick else FOLDER, quick=given.quick, write=given.write)


def run(names: Iterable[str], out: Path, *, quick: bool, write: bool) -> None:
    """Run the commands of some sections, with their results in `out`, and print or write the tables."""
    results: dict[str, Mapping[str, Any]] = {}
    for name in names:
        section = SECTIONS[name]
        commands = dict(section.commands)
        for other in section.also:
            commands |= SECTIONS[other].commands
        for folder, text in commands.items():
            if folder not in results:
                results[folder] = compare(out / folder, smaller(text.split()) if quick else text.split())
        table = lines(section, results)
        if write:
            PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), name, table), encoding="utf-8")
        print(f"\n{name}\n" + "\n".join(table))


if __name__ == "__main__":
    main()
