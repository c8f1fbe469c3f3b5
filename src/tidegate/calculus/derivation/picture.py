"""The diagram of a cell in the page of its derivation."""

from html import escape

from tidegate.calculus.step import Step
from tidegate.errors import EquationError

NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'  # of an SVG file; HTML does not need it


def inline_picture(step: Step, notation: str = "tidegate", language: str = "en") -> str:
    """The diagram as part of a page in HTML, or the sentence that says why the equations cannot be drawn."""
    from tidegate.calculus.diagram import diagram

    try:
        svg = diagram(step, notation=notation, language=language).svg
    except EquationError as error:
        return f"<p>{escape(str(error))}</p>"
    return f"<figure>{svg.replace(NAMESPACE, '', 1)}</figure>"
