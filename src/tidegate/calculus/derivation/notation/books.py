"""What the notations of textbooks have in common: one net input and one bias of each gate, and candidates by state."""

from collections.abc import Iterable

from tidegate.calculus.derivation.formula import Formula, Name, Partial, Sum, product, total, write
from tidegate.calculus.derivation.notation.base import Notation, Time
from tidegate.calculus.derivation.roles import candidates, new_state_of
from tidegate.calculus.expression import Expression
from tidegate.calculus.step import Step


class Book(Notation):
    """`net` is the net input of each gate: the argument of its function where that is W x + b + ..., with the recurrent
    product in it; otherwise W x + b alone, or the recurrent product where the gate has no input."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.candidate = candidates(step)
        self.net = {g: self.net_of(g) for g in step.gates}
        aliases = {g: s for g in step.gates if (s := self.alias(g)) is not None}
        others = {g: s for g, s in self.candidate.items() if s not in aliases.values()}
        self.subs = {g: g for g in step.gates} | others | aliases

    def net_of(self, g: str) -> Expression:
        argument = self.argument(g)
        if argument is not None:
            return argument
        return self.step.a[g] if g in self.step.a else self.step.q[g]

    def net_formula(self, g: str, time: Time = 0) -> Formula:
        """The net input with its products written out, the bias last."""
        found = write(self.net[g], self.written_out(time))
        if not isinstance(found, Sum):
            return found
        biases = [term for term in found.terms if term == (1, self.b(self.sub(g)))]
        return Sum((*(term for term in found.terms if term not in biases), *biases))

    def letter(self, name: str) -> tuple[str, str]:
        """(letter, accent) of a gate or a state."""
        state = self.alias(name) or self.candidate.get(name)
        return (state or name, "tilde" if name in self.candidate else "")

    def alias(self, name: str) -> str | None:
        """The state that a gate is the new value of."""
        return new_state_of(self.step, name) if name in self.step.gate else None

    def sub(self, g: str) -> str:
        return self.subs[g]

    def gradient(self, of: Name, loss: Time | None = None) -> Formula:
        return Partial(self.loss(loss), of)

    def values(self, time: Time = 0) -> dict[Expression, Formula]:
        step = self.step
        found: dict[Expression, Formula] = {e: self.recurrent(g, time) for g, e in self.products(time).items()}
        found |= {e: self.input_term(g, time) for g, e in self.net.items()}
        found |= {e: self.value(g, time) for g, e in step.gate.items()}
        found |= {e: self.value(s, time) for s, e in step.new.items()}
        return found | self.before(time)

    def products(self, time: Time) -> dict[str, Expression]:
        """The recurrent products by gate, without those that are printed by a name."""
        return {g: e for g, e in self.step.q.items() if e is not self.net[g]}

    def recurrent(self, g: str, time: Time = 0) -> Formula:
        stage = self.step.stages[self.step.stage_of(g)]
        named: dict[Expression, Formula] = {e: self.affine(other, time) for other, e in self.step.a.items()}
        named |= {e: self.value(name, time) for kind in (self.step.gate, self.step.new) for name, e in kind.items()}
        named |= {e: self.recurrent(other, time) for other, e in self.step.q.items() if self.earlier(other, g)}
        named |= {e: self.input_term(other, time) for other, e in self.net.items() if e.op == "leaf"}
        p = write(stage.operand, named | self.before(time), outermost=False)
        Up = product([self.U(self.sub(g)), p], matrix=True)
        return Up if self.merged(g) else total([Up, self.c(self.sub(g))])

    def earlier(self, other: str, g: str) -> bool:
        return self.step.stage_of(other) < self.step.stage_of(g)

    def errors(self, time: Time, loss: Time | None) -> Iterable[tuple[Expression, Formula]]:
        for g, e in self.net.items():
            if e in self.rule.cotangent:
                yield self.rule.cotangent[e], self.pre_error(self.sub(g), time, loss)

    def error(self, kind: str, g: str, time: Time = 0, loss: Time | None = None) -> Formula:
        e = (self.rule.da if kind == "a" else self.rule.dq)[g]
        named = dict(self.errors(time, loss)) | self.values(time)
        for name, value in (*self.step.gate.items(), *self.step.new.items()):
            if value in self.rule.cotangent:
                named.setdefault(self.rule.cotangent[value], self.gradient(self.value(name, time), loss))
        named |= {d: self.gradient(self.value(s, time), loss) for s, d in self.rule.d_new.items()}
        return write(e, {x: f for x, f in named.items() if x.op != "constant"}, outermost=False)
