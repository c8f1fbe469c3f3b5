"""Figure: the base class of all results, small frozen dataclasses of named arrays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True, eq=False)
class Figure:
    """A measured result: numbers and arrays by name. The docstring of each subclass defines them."""

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values: lists for arrays, None for NaN and infinity."""
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the figure with matplotlib, into `axes` or a new figure; returns the axes."""
        from tidegate.insight.plots import draw

        return draw(self, axes)

    def __str__(self) -> str:
        from tidegate.insight.sentences import sentence

        return sentence(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def _repr_html_(self) -> str:
        from tidegate.insight.plots import as_html

        return as_html(self)


def plain(value: Any) -> Any:
    """A value as JSON; NaN and infinity become None."""
    if isinstance(value, Figure):
        return value.as_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
