"""What a notation defines: the letter of every value, weight and gradient of a step."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from tidegate.calculus.adjoint import adjoint
from tidegate.calculus.derivation.formula import Formula, Name, product, total, transposed, write
from tidegate.calculus.expression import Expression
from tidegate.calculus.step import Step

Time = int | str


def shifted(time: Time, by: int) -> Time:
    """`by` steps later: "k" becomes "k+1", "1" becomes "2", and 0, which is t, becomes 1, which is t + 1."""
    if isinstance(time, int):
        return time + by
    found = re.fullmatch(r"([A-Za-z]*)([+-]?\d+)?", time)
    assert found, time
    offset = int(found[2] or 0) + by
    return f"{found[1]}{offset:+d}" if found[1] and offset else found[1] or f"{offset}"


def written_time(time: Time) -> str:
    return time if isinstance(time, str) else f"t{time:+d}" if time else "t"


def index_of(step: Step) -> str:
    """A letter that stands for any gate and is not the name of a gate; t and k are times."""
    return next(letter for letter in "gjmnpqrs" if letter not in step.gates)


class Notation(ABC):
    """The letters for one step. A `time` is a number of steps after t, or a text such as "k", "k-1" or "0".

    `net` is what `pre` stands for, by gate.

    `nets`: the notation has one net input of each gate, the argument of its function; otherwise the input term a and
    the recurrent product q are two values. `rows`: values are rows, a batch below each other, and weights stand on the
    right; otherwise values are columns. Formulas are made of columns, and `rows.py` turns them around.
    """

    name: ClassVar[str]
    nets: ClassVar[bool] = True
    rows: ClassVar[bool] = False

    def __init__(self, step: Step) -> None:
        self.step, self.rule = step, adjoint(step)
        self.net: dict[str, Expression] = dict(step.a)

    @abstractmethod
    def value(self, name: str, time: Time = 0) -> Name:
        """A gate or a state."""

    @abstractmethod
    def sub(self, g: str) -> str:
        """The subscript of the weights of gate g."""

    def free(self, *letters: str) -> str:
        """The first of the letters that no gate or state has."""
        taken = {self.value(name).letter for name in (*self.step.gates, *self.step.state)}
        return next(letter for letter in letters if letter not in taken)

    def states(self, time: Time = 0) -> Name:
        """The vector of all states."""
        return (
            self.value(self.step.state[0], time) if len(self.step.state) == 1 else Name(self.free("s", "e"), time=time)
        )

    def J(self, time: Time = 0, new: str = "", old: str = "") -> Name:
        """The Jacobian of a step; the block of two states where there are several."""
        block = [self.value(name).letter for name in (new, old) if name] if len(self.step.state) > 1 else []
        return Name("J", "".join(block), time)

    def x(self, time: Time = 0) -> Name:
        return Name("x", time=time)

    def W(self, sub: str) -> Formula:
        """The input weights (H, D) with this subscript."""
        return Name("W", sub)

    def U(self, sub: str) -> Formula:
        """The recurrent weights (H, H) with this subscript."""
        return Name("U", sub)

    def b(self, sub: str) -> Name:
        return Name("b", sub)

    @abstractmethod
    def c(self, sub: str) -> Name:
        """The bias of a recurrent product."""

    def v(self, name: str) -> Name:
        return Name("v", name)

    def V(self) -> Formula:
        """The weights of the output layer (C, H)."""
        return Name("V")

    @abstractmethod
    def output_bias(self) -> Name: ...

    def logits(self, time: Time = 0) -> Name:
        return Name(self.free("u", "w", "s", "logits"), time=time)

    def prediction(self, time: Time = 0) -> Name:
        return replace(self.target(time), accent="hat")

    def target(self, time: Time = 0) -> Name:
        return Name(self.free("y", "target"), time=time)

    def loss(self, time: Time | None = None) -> Name:
        """The loss of a step, or of all steps together."""
        return Name("L", time=time)

    @abstractmethod
    def pre(self, sub: str, time: Time = 0) -> Name:
        """a_g, or the net input, of the gate with this subscript."""

    def input_term(self, g: str, time: Time = 0) -> Name:
        """a_g, or the net input, of gate g."""
        return self.pre(self.sub(g), time)

    def product(self, sub: str, time: Time = 0) -> Name:
        """The recurrent product of the gate with this subscript, where it has a letter."""
        return Name("q", sub, time)

    def pre_error(self, sub: str, time: Time = 0, loss: Time | None = None) -> Formula:
        """The gradient with respect to `pre`."""
        return self.gradient(self.pre(sub, time), loss)

    @abstractmethod
    def gradient(self, of: Name, loss: Time | None = None) -> Formula:
        """The gradient of the loss of a step, or of all together, with respect to a value."""

    @abstractmethod
    def error(self, kind: str, g: str, time: Time = 0, loss: Time | None = None) -> Formula:
        """The gradient with respect to the input term, `kind` "a", or to the product, "q", of a gate."""

    @abstractmethod
    def values(self, time: Time = 0) -> dict[Expression, Formula]:
        """The forward values of a step by name."""

    def before(self, time: Time) -> dict[Expression, Formula]:
        """The states before the step, and the vectors."""
        found: dict[Expression, Formula] = {e: self.value(s, shifted(time, -1)) for s, e in self.step.old.items()}
        return found | {e: self.v(n) for n, e in self.step.v.items()}

    def argument(self, g: str) -> Expression | None:
        """The argument of a gate's function, if the gradient with respect to it is that of the gate's input term."""
        e, rule = self.step.gate[g], self.rule
        found = rule.cotangent.get(e.args[0]) if len(e.args) == 1 else None
        return e.args[0] if found is not None and found.op != "constant" and found is rule.da.get(g) else None

    def merged(self, g: str) -> bool:
        """Whether the two biases of g are printed as one, because their gradients are equal."""
        rule = self.rule
        return self.nets and g in rule.da and g in rule.dq and rule.da[g] is rule.dq[g]

    def affine(self, g: str, time: Time = 0) -> Formula:
        """W_g x + b_g."""
        return total([product([self.W(self.sub(g)), self.x(time)], matrix=True), self.b(self.sub(g))])

    def recurrent(self, g: str, time: Time = 0) -> Formula:
        """U_g p + c_g; without c_g where the two biases are one."""
        stage = self.step.stages[self.step.stage_of(g)]
        p = write(stage.operand, self.values(time), outermost=False)
        Up = product([self.U(self.sub(g)), p], matrix=True)
        return Up if self.merged(g) else total([Up, self.c(self.sub(g))])

    def written_out(self, time: Time = 0) -> dict[Expression, Formula]:
        """As `values`, with the matrix products written out."""
        out = self.values(time) | {e: self.affine(g, time) for g, e in self.step.a.items()}
        return out | {e: self.recurrent(g, time) for g, e in self.step.q.items()}

    def net_formula(self, g: str, time: Time = 0) -> Formula:
        """What `pre` of gate g is: W_g x + b_g, or its whole net input."""
        return self.affine(g, time)

    def gradients(self, time: Time = 0, loss: Time | None = None) -> dict[Expression, Formula]:
        """The gradients that the backward pass computes at a step, and the forward values."""
        step, rule = self.step, self.rule
        found: dict[Expression, Formula] = dict(self.errors(time, loss))
        for kind in (step.gate, step.new):
            for name, e in kind.items():
                if e in rule.cotangent:
                    found[rule.cotangent[e]] = self.gradient(self.value(name, time), loss)
        found |= {e: self.gradient(self.value(s, time), loss) for s, e in rule.d_new.items()}
        for d, stage in zip(rule.d_p, step.stages):
            found[d] = total([self.back_through(g, time, loss) for g in stage.gates])
        found |= self.values(time)
        return {e: f for e, f in found.items() if e.op != "constant"}

    def errors(self, time: Time, loss: Time | None) -> Iterable[tuple[Expression, Formula]]:
        """The gradients with respect to the input terms and products that have a name."""
        for g, e in self.rule.dq.items():
            yield e, self.error("q", g, time, loss)
        for g, e in self.rule.da.items():
            yield e, self.error("a", g, time, loss)

    def back_through(self, g: str, time: Time = 0, loss: Time | None = None) -> Formula:
        """U_g^T times the gradient with respect to the product of gate g."""
        return product([transposed(self.U(self.sub(g))), self.error("q", g, time, loss)], matrix=True)
