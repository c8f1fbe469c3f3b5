"""The Step: one time step of a cell as data, stages of matrix products and element-wise expressions around them."""

import keyword
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

from tidegate.calculus.expression import Expression, infix, leaf, subgraph
from tidegate.errors import EquationError
from tidegate.forks import held_while_forking

Named = MappingProxyType[str, Expression]


@dataclass(frozen=True)
class Stage:
    """One matrix product of the step: q_g = p U_g + c_g for every gate g of `gates`, with p the `operand`."""

    operand: Expression
    gates: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """One time step of a cell: matrix products in stages, and element-wise expressions around them.

    name: that of the cell. gates, state, vectors: the declared names, gates in the packed order of the parameters.
    Leaves: `a[g]` = x W_g + b_g, `q[g]` = the product of gate g, `old[s]` = a state before the step, `v[n]` = a
    per-unit vector. Values: `gate[g]`, `new[s]`. All are (B, H). `inputs` and `products` name the gates that have an
    `a` and a `q`, in the packed order of weight_ih and weight_hh. `stages` are in an order in which they can run.

    Steps come from `make_step`: steps of equal content are the same object, so `is` compares them.
    """

    name: str
    gates: tuple[str, ...]
    state: tuple[str, ...]
    vectors: tuple[str, ...]
    inputs: tuple[str, ...]
    products: tuple[str, ...]
    stages: tuple[Stage, ...]
    a: Named
    q: Named
    old: Named
    v: Named
    gate: Named
    new: Named

    def __reduce__(self) -> tuple:
        from tidegate.calculus.serial import dumps, loads

        return loads, (dumps(self),)

    def __repr__(self) -> str:
        return f"<Step {self.name}: state {self.state}, gates {self.gates}>"

    def names(self) -> dict[Expression, str]:
        """The names by which expressions are printed: gates by their name, new states with a prime."""
        named = {e: f"{s}'" for s, e in reversed(list(self.new.items()))}
        return named | {e: g for g, e in self.gate.items()}

    def stage_of(self, gate: str) -> int:
        """The index of the stage whose product holds `gate`."""
        return next(k for k, stage in enumerate(self.stages) if gate in stage.gates)

    def __str__(self) -> str:
        names = self.names()
        lines = [f"{self.name}: {len(self.stages)} matrix product{'s' * (len(self.stages) != 1)} a step"]
        for stage in self.stages:
            operand = infix(stage.operand, names, outermost=False)
            lines += [f"  q_{g} = ({operand}) U_{g} + c_{g}" for g in stage.gates]
        lines += [f"  {g} = {infix(e, names)}" for g, e in self.gate.items()]
        lines += [
            f"  {s}' = {names[e] if names[e] != s + chr(39) else infix(e, names)}"
            for s, e in reversed(list(self.new.items()))
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from tidegate.calculus.display import step_html

        return step_html(self)

    def _repr_latex_(self) -> str | None:
        from tidegate.calculus.display import step_latex

        return step_latex(self)


_INTERNED: WeakValueDictionary[tuple, Step] = WeakValueDictionary()
_LOCK = held_while_forking(threading.Lock())


def make_step(
    name: str,
    gates: tuple[str, ...],
    state: tuple[str, ...],
    vectors: tuple[str, ...],
    operands: Mapping[str, Expression],
    gate: Mapping[str, Expression],
    new: Mapping[str, Expression],
    here: str | None = None,
) -> Step:
    """The Step of that content, checked.

    `operands` are the left sides of the products by gate, `gate` and `new` the values of all gates and states. Raises
    EquationError for content that is not a cell's; its message begins with `here`, by default the name.
    """
    here = here or name
    operands = {g: operands[g] for g in gates if g in operands}
    gate, new = {g: gate[g] for g in gates}, {s: new[s] for s in state}
    used = set(subgraph([*new.values(), *gate.values(), *operands.values()]))
    check_used(here, (gates, state, vectors), used, new, gate)
    stages = tuple(in_stages(operands, here))
    key = (name, gates, state, vectors, *stages, *gate.values(), *new.values())
    inputs = tuple(g for g in gates if leaf("input", g) in used)
    made = Step(
        name=name,
        gates=gates,
        state=state,
        vectors=vectors,
        inputs=inputs,
        products=tuple(operands),
        stages=stages,
        a=MappingProxyType({g: leaf("input", g) for g in inputs}),
        q=MappingProxyType({g: leaf("product", g) for g in operands}),
        old=MappingProxyType({s: leaf("state", s) for s in state}),
        v=MappingProxyType({n: leaf("vector", n) for n in vectors}),
        gate=MappingProxyType(gate),
        new=MappingProxyType(new),
    )
    with _LOCK:
        return _INTERNED.setdefault(key, made)


def in_stages(operands: Mapping[str, Expression], here: str) -> Iterator[Stage]:
    """Gates with the same operand share a stage; a stage comes after every stage whose products its operand needs."""
    needs = {p: {e.name for e in subgraph([p]) if e.kind == "product"} for p in set(operands.values())}
    waiting = dict(operands)
    while waiting:
        ready = [g for g, p in waiting.items() if needs[p].isdisjoint(waiting)]
        if not ready:
            raise EquationError(
                f"{here}: the products of {sorted(waiting)} depend on each other, so none can be computed first"
            )
        operand = waiting[ready[0]]
        gates = tuple(g for g in ready if waiting[g] is operand)
        yield Stage(operand, gates)
        for g in gates:
            del waiting[g]


def check_names(here: str, gates: Any, state: Any, vectors: Any) -> None:
    """EquationError unless all three are tuples of names, each name once, with at least one gate and one state.

    `here` is the name of the cell, an identifier as well.
    """
    if not here.isidentifier():
        raise EquationError(f"the name of a cell must be a Python identifier, got {here!r:.60}")
    declared = {"gates": gates, "state": state, "vectors": vectors}
    for field, names in declared.items():
        if not isinstance(names, tuple) or not all(map(is_name, names)):
            raise EquationError(
                f'{here}.{field} must be a tuple of names such as ("h",), got {names!r:.80}; a name is a Python '
                "identifier, no keyword, and does not begin with an underscore"
            )
    if not state or not gates:
        raise EquationError(f"{here} needs at least one state and one gate")
    for names in ((*gates, *state), vectors):
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise EquationError(f"{here} declares {sorted(twice)} twice; give each gate and state its own name")


def is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and not name.startswith("_") and not keyword.iskeyword(name)


def check_used(
    here: str,
    declared: tuple[tuple[str, ...], ...],
    used: set[Expression],
    new: Mapping[str, Expression],
    gate: Mapping[str, Expression],
) -> None:
    """EquationError unless the equations use everything that is declared, each in its place."""
    gates, state, vectors = declared
    reached = set(subgraph(list(new.values())))
    for g in gates:
        own = {leaf("input", g), leaf("product", g)}
        if not own & used:
            raise EquationError(
                f"{here}: gate {g!r} is declared but never used; use a.{g} and U.{g}(...), or remove it from gates"
            )
        if not own & set(subgraph([gate[g]])):
            raise EquationError(
                f"{here}: the value returned as gate {g!r} uses neither a.{g} nor U.{g}; "
                f"return the gates in the order of gates = {gates}"
            )
    for name in vectors:
        if leaf("vector", name) not in used:
            raise EquationError(f"{here}: vector {name!r} is declared but never used; use v.{name}, or remove it")
    for s in state:
        if new[s] is leaf("state", s):
            raise EquationError(
                f"{here}: state {s!r} is returned unchanged; return its new value, or remove it from state"
            )
    if not any(leaf("input", g) in reached for g in gates):
        raise EquationError(f"{here}: no input reaches the new states; use a.{gates[0]} in the equations")
