"""The widths of formulas and notes in LaTeX, estimated from their signs."""

import re
from collections.abc import Sequence

#: Widths in points of what stands in formulas at 10 pt, measured with pdflatex; operators with the space around them.
SIGNS = {
    r"\odot": 12.2, r"\cdot": 7.2, "+": 12.2, "-": 12.2, "=": 13.3, r"\le": 13.3, r"\ge": 13.3, "<": 13.3, ">": 13.3,
    r"\left": 0.9, r"\right": 0.9, r"\|": 5.0, "|": 2.8, "(": 3.9, ")": 3.9, "[": 2.8, "]": 2.8, ",": 4.5, ".": 2.8,
    "/": 5.0, r"\,": 1.7, r"\quad": 10.0, r"\qquad": 20.0, r"\tanh": 22.0, r"\exp": 17.0, r"\log": 14.4, r"\max": 21.4,
    r"\min": 19.8, r"\partial": 5.8, r"\sigma": 6.1, r"\delta": 4.9, r"\top": 7.8, r"\prod": 14.5, r"\sum": 16.2,
    r"\times": 12.2, r"\pm": 7.8, r"\footnotesize": 0.0,
}  # fmt: skip
LETTERS = {"m": 8.8, "w": 7.2, "i": 3.5, "l": 3.2, "j": 4.6, "t": 3.6, "r": 4.7, "I": 5.2, "M": 10.8, "W": 10.9}
SMALL, CAPITAL, DIGIT, TEXT, SCRIPT, FOOTNOTE, SPACE = 5.4, 7.9, 5.0, 4.75, 0.78, 0.88, 4.4

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}^_&]|\s+|.", re.DOTALL)


def note_width(note: Sequence[str]) -> float:
    return sum(map(text_width, note)) + 10 * (len(note) - 1)


def text_width(words: str) -> float:
    r"""The width of text with formulas between dollars; \footnotesize makes it smaller."""
    total = 0.0
    for i, part in enumerate(re.split(r"(?<!\\)\$", words)):
        if i % 2:
            total += measure(part)
        else:
            total += sum(10.0 if ord(c) > 0x2E80 else TEXT for c in re.sub(r"\\[a-z]+ ?|[\\{}]", "", part))
    return total * (FOOTNOTE if r"\footnotesize" in words else 1)


def measure(formula: str) -> float:
    """The width of a formula in points, within a few per cent."""
    tokens = [token for token in TOKEN.findall(formula) if not token.isspace()]
    width, rest = sequence(tokens, 0)
    while rest < len(tokens):  # a brace that closes nothing
        more, rest = sequence(tokens, rest + 1)
        width += more
    return width


def sequence(tokens: list[str], i: int) -> tuple[float, int]:
    """The width of the tokens from i to the brace that closes, and where it stands."""
    total = 0.0
    while i < len(tokens) and tokens[i] != "}":
        width, i = one(tokens, i)
        total += width
    return total, i


def one(tokens: list[str], i: int) -> tuple[float, int]:
    """The width of the element that begins at i, and the index after it."""
    match tokens[i]:
        case "{":
            width, end = sequence(tokens, i + 1)
            return width, end + 1
        case "_" | "^":
            width, end = script(tokens, i)
            above, end = script(tokens, end) if end < len(tokens) and tokens[end] == "^" else (0.0, end)
            return max(width, above), end
        case r"\sum" | r"\prod" as sign:
            scripts, end = one(tokens, i + 1)
            return max(SIGNS[sign], scripts) + 1.7, end
        case r"\begin":
            end = tokens.index(r"\end", i)
            rows = "".join(tokens[tokens.index("}", i) + 1 : end]).split(r"\\")
            return max(sum(measure(cell) + 10 for cell in row.split("&")) for row in rows), tokens.index("}", end) + 1
        case r"\frac":
            top, end = one(tokens, i + 1)
            bottom, end = one(tokens, end)
            return max(top, bottom) + 2.4, end
        case r"\operatorname":
            width, end = one(tokens, i + 1)
            return width + 1.7, end
        case r"\tilde" | r"\hat" | r"\mathit" | r"\mathbf" | r"\mathrm" | r"\mathcal":
            return one(tokens, i + 1)
        case token:
            return width_of(token), i + 1


def script(tokens: list[str], i: int) -> tuple[float, int]:
    """The width of a subscript or superscript, whose operators have no space around them."""
    width, end = one(tokens, i + 1)
    return SCRIPT * (width - sum(SPACE for token in tokens[i + 1 : end] if token in "+-=")) + 0.5, end


def width_of(token: str) -> float:
    if token in SIGNS:
        return SIGNS[token]
    if token in LETTERS:
        return LETTERS[token]
    if token.isdigit():
        return DIGIT
    return CAPITAL if token.isupper() else SMALL if token.isalpha() or token.startswith("\\") else 0.0
