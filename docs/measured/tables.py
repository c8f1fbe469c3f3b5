"""Measured tables of a page: written between the marks `<!-- measured: NAME -->` and `<!-- end -->`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

Measure = Callable[[], list[str]]


def number(x: float) -> str:
    return f"{x:.1e}" if x != 0 and not 0.01 <= abs(x) < 1000 else f"{x:.2f}"


def spread(values: Sequence[float]) -> str:
    """The median, and the lowest and the highest value where there are several that differ as printed."""
    low, middle, high = number(min(values)), number(median(values)), number(max(values))
    return middle if low == high else f"{middle} ({low} to {high})"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def replaced(page: str, name: str, lines: Iterable[str]) -> str:
    """The page with other lines between the marks of `name`. Raises ValueError where it has no such marks."""
    begin, end = f"<!-- measured: {name} -->\n", "<!-- end -->"
    before, mark, rest = page.partition(begin)
    if not mark or end not in rest:
        raise ValueError(f"the page has no place for {name}: {begin.strip()} ... {end}")
    return before + begin + "\n".join(lines) + "\n" + rest[rest.index(end) :]


def written(page: str, measured: Mapping[str, Measure]) -> str:
    """The page with every table measured again."""
    for name, measure in measured.items():
        page = replaced(page, name, measure())
    return page


def write(path: Path, measured: Mapping[str, Measure]) -> None:
    path.write_text(written(path.read_text(encoding="utf-8"), measured), encoding="utf-8")


def show(measured: Mapping[str, Measure]) -> None:
    for name, measure in measured.items():
        print(f"\n{name}\n", *measure(), sep="\n")
