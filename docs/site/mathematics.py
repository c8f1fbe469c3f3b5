"""Formulas as MathML, which browsers draw by themselves: no script and no font is loaded (latex2mathml)."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.writers.html5 import HTML5Translator

ALIGNED = re.compile(r"\\begin\{(aligned|align\*?)\}(.*?)\\end\{\1\}", re.S)
MATH = re.compile(r"<math\b[^>]*>(.*)</math>", re.S)


def mathml(tex: str, *, block: bool) -> str:
    """A formula as a <math> element; SphinxError for one that is not understood."""
    try:
        inside = formula(tex.strip(), block)
    except Exception as error:  # the converter raises many kinds
        raise SphinxError(f"a formula cannot be converted, because of {error!r}: {tex}") from error
    return f'<math display="{"block" if block else "inline"}">{inside}</math>'


def formula(tex: str, block: bool) -> str:
    """The content of a <math> element."""
    aligned = ALIGNED.fullmatch(tex)
    if aligned:
        return table([split(row, "&") for row in split(aligned[2], r"\\")])
    # A letter in \mathrm would be drawn in italics; text is upright.
    tex = re.sub(r"\\mathrm\{(\w)\}", r"\\text{\1}", without_formulas_in_text(tex))
    if len(re.findall(r"(?<!\\)\{", tex)) != len(re.findall(r"(?<!\\)\}", tex)):
        raise ValueError("its braces are not balanced")
    found = MATH.search(convert(tex, display="block" if block else "inline"))
    if found is None or re.search(r"<m[io]>&(?!#|\w+;)|\\[a-zA-Z]|\$", found[1]):
        raise ValueError(f"a part of {tex} is not understood")
    return found[1].replace(' fence="true"', ' fence="true" lspace="0" rspace="0"')


def without_formulas_in_text(tex: str) -> str:
    r"""\text{a $x$ b} as \text{a }x\text{ b}, which is the same."""
    out, rest = "", tex
    while r"\text{" in rest:
        before, rest = rest.split(r"\text{", 1)
        end = closing(rest)
        parts = rest[:end].split("$")
        out += before + "".join(part if k % 2 else rf"\text{{{part}}}" for k, part in enumerate(parts) if part)
        rest = rest[end + 1 :]
    return out + rest


def closing(tex: str) -> int:
    """The index of the brace that closes the one before the beginning."""
    depth = 1
    for k, sign in enumerate(tex):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return k
    raise ValueError("its braces are not balanced")


def split(tex: str, separator: str) -> list[str]:
    """The parts of an environment's content; a separator inside a nested environment is none."""
    parts, depth = [""], 0
    for token in re.split(r"(\\begin\{|\\end\{|\\\\|\\&|&)", tex):
        depth += {r"\begin{": 1, r"\end{": -1}.get(token, 0)
        if token == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return parts


def table(rows: list[list[str]]) -> str:
    lines = []
    for row in rows:
        cells = [formula(cell.strip(), True) if cell.strip() else "" for cell in row]
        lines.append("<mtr>" + "".join(f"<mtd>{cell}</mtd>" for cell in cells) + "</mtr>")
    return f'<mtable class="aligned" displaystyle="true">{"".join(lines)}</mtable>'


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
