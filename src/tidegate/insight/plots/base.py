"""`draw(figure, axes)`: a result as a matplotlib plot. One file for each kind of result."""

import base64
import html
import io
from functools import singledispatch

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Page

from tidegate.insight.figure import Figure

BLUE, ORANGE, GREY, GREEN, PURPLE = "#0072b2", "#d55e00", "0.4", "#009e73", "#cc79a7"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#e69f00", "#56b4e9")  # distinguishable with any colour vision


@singledispatch
def plot(figure: Figure, axes: Axes) -> None:
    """Draw a figure into the axes."""
    raise NotImplementedError(f"no plot is written for {type(figure).__name__}")


def draw(figure: Figure, axes: Axes | None) -> Axes:
    """Draw a figure into the axes, or into those of a new matplotlib figure; returns them."""
    if axes is None:
        axes = Page(figsize=(7, 4), dpi=110, layout="constrained").add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    plot(figure, axes)
    return axes


def as_html(figure: Figure) -> str:
    """The plot and the sentence, for a notebook."""
    picture = io.BytesIO()
    draw(figure, None).figure.savefig(picture, format="png")  # type: ignore[union-attr]
    data = base64.b64encode(picture.getvalue()).decode()
    words = html.escape(str(figure))
    return f'<figure><img alt="{words}" src="data:image/png;base64,{data}"><figcaption>{words}</figcaption></figure>'
