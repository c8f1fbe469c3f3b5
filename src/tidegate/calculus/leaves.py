"""The kinds of leaves of expressions: what each one is, how it is printed, and which names it can have.

A leaf is an Expression with a kind and a name, so a state called `a_n` and the input term of a gate n are different
leaves. A new kind of leaf is a new line here; an engine supplies its value by its Expression, as for all leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Kind:
    """`printed` is the format of the printed name. `declared` is the field of a Step that lists the possible names;
    None for a leaf that the equations of a step cannot contain."""

    printed: str
    declared: str | None = None


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "input": Kind("a_{}", "gates"),  # x W_g + b_g of gate g
        "product": Kind("q_{}", "gates"),  # p U_g + c_g of gate g
        "state": Kind("{}", "state"),  # a state before the step
        "vector": Kind("v_{}", "vectors"),  # a learned per-unit vector
        "d_state": Kind("d_{}"),  # gradient of the loss with respect to a new state
        "d_gate": Kind("d_gate_{}"),  # gradient of the loss with respect to a gate that is an output
        "d_operand": Kind("d_p{}"),  # gradient of the loss with respect to the operand of a stage, by its index
        "symbol": Kind("{}"),  # any other variable
    }
)
