"""Tidegate's own letters: those of the equations, of torch's two biases, and d for a gradient."""

from dataclasses import replace

from tidegate.calculus.derivation.formula import Formula, Name
from tidegate.calculus.derivation.notation.base import Notation, Time, written_time
from tidegate.calculus.expression import Expression


class Tidegate(Notation):
    """h, c, the gates; a_g = W_g x + b_g and q_g = U_g p + c_g; dz is dL/dz, and dz[t,k] is dL_t/dz_k."""

    name = "tidegate"
    nets = False

    def value(self, name: str, time: Time = 0) -> Name:
        return Name(name, time=time)

    def sub(self, g: str) -> str:
        return g

    def c(self, sub: str) -> Name:
        return Name("c", sub)

    def output_bias(self) -> Name:
        return Name("c", next(sub for sub in ("y", "out") if sub not in self.step.gates))

    def pre(self, sub: str, time: Time = 0) -> Name:
        return Name("a", sub, time)

    def gradient(self, of: Name, loss: Time | None = None) -> Formula:
        assert of.time is not None
        time = of.time if loss is None else f"{written_time(loss)},{written_time(of.time)}"
        return replace(of, d=True, time=time)

    def error(self, kind: str, g: str, time: Time = 0, loss: Time | None = None) -> Formula:
        return self.gradient(Name(kind, g, time), loss)

    def values(self, time: Time = 0) -> dict[Expression, Formula]:
        step = self.step
        found: dict[Expression, Formula] = {e: self.value(s, time) for s, e in step.new.items()}
        found |= {e: self.value(g, time) for g, e in step.gate.items()}
        found |= {e: Name("a", g, time) for g, e in step.a.items()}
        found |= {e: Name("q", g, time) for g, e in step.q.items()}
        return found | self.before(time)
