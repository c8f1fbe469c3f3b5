"""Element-wise expressions as JavaScript statements: the table from operations to JavaScript."""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from tidegate.calculus import Expression, evaluate

#: One function for each primitive operation, from the text of its arguments to the text of its value. The forms agree
#: with `calculus/operations.py` at every number, infinities and NaN included.
OPERATORS: Mapping[str, Callable[..., str]] = MappingProxyType(
    {
        "add": "{} + {}".format,
        "sub": "{} - {}".format,
        "mul": "{} * {}".format,
        "div": "{} / {}".format,
        "neg": "-{}".format,
        "maximum": "Math.max({}, {})".format,
        "abs": "Math.abs({})".format,
        "exp": "Math.exp({})".format,
        "log": "Math.log({})".format,
        "log1p": "Math.log1p({})".format,
        "sqrt": "Math.sqrt({})".format,
        "sigmoid": "sigmoid({})".format,
        "tanh": "Math.tanh({})".format,
        "relu": "Math.max({}, 0)".format,
        "step": "({} <= 0 ? 0 : 1)".format,
        "sign": "Math.sign({})".format,
    }
)

#: exp has only arguments of at most 0 here, so it cannot overflow.
FUNCTIONS = """\
function sigmoid(x) {
  const e = Math.exp(-Math.abs(x));
  return (x >= 0 ? 1 : e) / (1 + e);
}"""


def statements(results: Sequence[Expression], given: Mapping[Expression, str]) -> tuple[list[str], list[str]]:
    """The statements that compute `results` and the text of each result; `given` has the text of every leaf.

    Each operation is one `const`, so an expression that several results share is computed once. An operation that is
    not in OPERATORS is replaced by its definition.
    """
    lines: list[str] = []

    def writer(operator: Callable[..., str]) -> Callable[..., str]:
        def write(*arguments: str) -> str:
            lines.append(f"const t{len(lines)} = {operator(*arguments)};")
            return f"t{len(lines) - 1}"

        return write

    table = {name: writer(operator) for name, operator in OPERATORS.items()}
    values = evaluate(results, given, {"constant": number, **table})
    return lines, values


def number(value: float) -> str:
    """A finite number as a JavaScript literal of exactly the same value."""
    return f"({value!r})" if value < 0 else repr(value)


def literal(value: object) -> str:
    """A JSON value as JavaScript that is also safe inside an HTML script element."""
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c")
