"""Figures of a page as data: plots of series over two axes, and rows with a bar or a dot each.

The page draws them (assets/plot.js, assets/rows.js), makes the data table and the download from them, and reads
`sentence` aloud. Values that are None, NaN or infinite are left out of the drawing.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Numbers = Sequence[float | None]
#: Colours by meaning, the same on every page: training is blue, held-out text orange, the baseline grey.
Role = Literal["first", "second", "train", "heldout", "baseline", "ink"]


@dataclass(frozen=True)
class Axis:
    """scale "log" draws the logarithm of the values; "exponent" has values that are decimal logarithms, labelled as
    powers of ten. `zero`: the axis includes 0. `range`: its ends; by default those of the data."""

    label: str
    scale: Literal["linear", "log", "exponent"] = "linear"
    zero: bool = False
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Series:
    """Points (x, y) as a line, as dots, or both; `low` and `high` are drawn as a band around a line, as whiskers of
    dots. `units` are the indices of the units that the dots stand for: choosing one colours the text by its state or
    gate `name` in `layer` of run number `run`."""

    label: str
    role: Role
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    line: bool = True
    points: bool = False
    dashed: bool = False
    units: Sequence[int] | None = None
    run: int = 0
    layer: int = 0
    name: str = ""


@dataclass(frozen=True)
class Mark:
    """A thin line across the plot at one value of an axis, with its label."""

    axis: Literal["x", "y"]
    at: float
    label: str
    role: Role = "ink"


@dataclass(frozen=True)
class Plot:
    """`sentence` says what the plot shows, with its numbers; `caption` is printed above it."""

    id: str
    sentence: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    marks: Sequence[Mark] = ()
    caption: str = ""
    kind: str = "plot"


@dataclass(frozen=True)
class Pick:
    """A unit that a row stands for."""

    run: int
    layer: int
    unit: int
    name: str


@dataclass(frozen=True)
class Row:
    """A value with its interval; `others` are drawn as small dots beside it. `missing` is shown where value is None."""

    label: str
    role: Role
    value: float | None
    low: float | None = None
    high: float | None = None
    others: Numbers = ()
    pick: Pick | None = None
    missing: str = "not measured"


@dataclass(frozen=True)
class Key:
    label: str
    role: Role
    faint: bool = False


@dataclass(frozen=True)
class Rows:
    """One row for each label, as bars from zero or as dots. `decimals` of the printed values; None: two digits.
    `spread`: the dots of `others` lie above and below each other, so that equal values can be seen."""

    id: str
    sentence: str
    x: Axis
    rows: Sequence[Row]
    keys: Sequence[Key] = ()
    bars: bool = False
    decimals: int | None = None
    spread: bool = False
    caption: str = ""
    kind: str = "rows"


def plain(value: Any) -> Any:
    """A figure, or another value, as JSON. Numbers that are not finite become None; fields of None are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: plain(item) for name, item in fields if item is not None or name == "value"}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return shortened(value) if math.isfinite(value) else None
    return value


def shortened(number: float) -> float:
    """Nine significant digits: more than a plot shows, and half of the size."""
    return float(f"{number:.9g}")
