"""The adjoint of a step: one step of backpropagation through time, derived from the equations."""

from dataclasses import dataclass
from functools import cache

from tidegate.calculus import operations
from tidegate.calculus.derivative import Each, gradients, keep
from tidegate.calculus.expression import Expression, constant, infix, leaf, subgraph
from tidegate.calculus.step import Named, Step


@dataclass(frozen=True, eq=False)
class Adjoint:
    """The backward step: from the gradients with respect to the new states to those with respect to all inputs.

    A cotangent of x is the gradient of the loss with respect to x. Leaves: `d_new[s]`, the cotangent of a new state;
    `d_p[k]`, that of the operand of stage k, which is the matrix product sum_g dq_g U_g^T over the gates of the stage;
    `d_gate[g]`, that of a gate which is an output too (otherwise the constant 0). Values: `dq[g]` (of gate g's
    product), `da[g]` (of its input term), `d_old[s]`, and `dv[n]`, this step's term of a vector's gradient. `dq` of
    stage k needs only the `d_p` of later stages, so the stages run from last to first. `saved` are the forward values
    that occur in all these: with them and the vectors, nothing else of the forward pass is needed.
    """

    step: Step
    d_new: Named
    d_gate: Named
    d_p: tuple[Expression, ...]
    dq: Named
    da: Named
    d_old: Named
    dv: Named
    saved: tuple[Expression, ...]
    cotangent: dict[Expression, Expression]

    def names(self) -> dict[Expression, str]:
        """The names by which expressions are printed."""
        step = self.step
        named = {self.cotangent[e]: f"d{g}" for g, e in step.gate.items()}
        named |= {self.cotangent[e]: f"d{s}'" for s, e in step.new.items()}
        named |= {e: f"dq_{g}" for g, e in self.dq.items()} | {e: f"da_{g}" for g, e in self.da.items()}
        leaves = {e for e in named if e.op in ("leaf", "constant")}
        return step.names() | {e: name for e, name in named.items() if e not in leaves}

    def __str__(self) -> str:
        names = self.names()

        def line(left: str, e: Expression) -> str:
            own = names.get(e)
            return f"  {left} = {own if own and own != left else infix(e, names)}"

        lines = [f"{self.step.name}, backward:"]
        lines += [
            line(f"d{s}'", self.cotangent[e])
            for s, e in reversed(list(self.step.new.items()))
            if self.cotangent[e] is not self.d_new[s]
        ]
        for g, e in self.step.gate.items():
            lines += [line(f"d{g}", self.cotangent[e])]
            lines += [line(f"da_{g}", self.da[g])] if g in self.da else []
            lines += [line(f"dq_{g}", self.dq[g])] if g in self.dq else []
        lines += [
            f"  d_p{k} = " + " + ".join(f"dq_{g} U_{g}^T" for g in stage.gates)
            for k, stage in reversed(list(enumerate(self.step.stages)))
        ]
        lines += [line(f"d_{s} before the step", e) for s, e in self.d_old.items()]
        lines += [line(f"dv_{n}", e) for n, e in self.dv.items()]
        return "\n".join(lines)


@cache
def adjoint(step: Step, *, of_gates: bool = False) -> Adjoint:
    """The Adjoint of a Step; with `of_gates`, the gates' values are outputs too, with cotangents."""
    return differentiate(step, of_gates=of_gates)


def differentiate(step: Step, *, of_gates: bool = False, each: Each = keep) -> Adjoint:
    """The Adjoint, not cached; `each` may record or change its terms, see `gradients`."""
    d_new = {s: leaf("d_state", s) for s in step.state}
    d_gate = {g: leaf("d_gate", g) if of_gates else constant(0) for g in step.gates}
    d_p = tuple(leaf("d_operand", str(k)) for k in range(len(step.stages)))
    outputs = [(e, d_new[s]) for s, e in step.new.items()]
    outputs += [(e, d_gate[g]) for g, e in step.gate.items()]
    outputs += [(stage.operand, d) for stage, d in zip(step.stages, d_p)]
    leaves = [*step.a.values(), *step.q.values(), *step.old.values(), *step.v.values()]
    values = {*step.gate.values(), *step.new.values()}
    named = values | {arg for e in step.gate.values() for arg in e.args}
    found = gradients(outputs, leaves, named, each)
    dq, da = ({g: found[e] for g, e in leaf.items()} for leaf in (step.q, step.a))
    d_old, dv = ({n: found[e] for n, e in leaf.items()} for leaf in (step.old, step.v))
    roots = [*dq.values(), *da.values(), *d_old.values(), *dv.values(), *(stage.operand for stage in step.stages)]
    return Adjoint(
        step=step,
        d_new=Named(d_new),
        d_gate=Named(d_gate),
        d_p=d_p,
        dq=Named(dq),
        da=Named(da),
        d_old=Named(d_old),
        dv=Named(dv),
        saved=forward_values(step, roots),
        cotangent=found,
    )


def forward_values(step: Step, roots: list[Expression]) -> tuple[Expression, ...]:
    """The smallest set of forward values from which cheap operations compute `roots`.

    Leaves, gates and states are saved; values that cheap operations compute from saved ones are recomputed.
    """
    forward = set(subgraph([*step.new.values(), *step.gate.values(), *(stage.operand for stage in step.stages)]))
    vectors = set(step.v.values())
    natural = {*step.a.values(), *step.q.values(), *step.old.values(), *step.new.values(), *step.gate.values()}
    mentioned = [e for e in subgraph(roots, forward) if e in forward]
    saved = {e for e in mentioned if e in natural}

    def follows(e: Expression) -> bool:
        """Whether e can be computed from what is saved by cheap operations alone."""
        waiting, seen = [e], {e}
        while waiting:
            node = waiting.pop()
            if node.op == "constant" or node in vectors or node in saved:
                continue
            if not is_cheap(node):
                return False
            waiting += [arg for arg in node.args if arg not in seen]
            seen.update(node.args)
        return True

    for e in mentioned:
        if not follows(e):
            saved.add(e)
    return tuple(e for e in subgraph([*step.new.values(), *step.gate.values(), *roots]) if e in saved)


def is_cheap(e: Expression) -> bool:
    """Whether the backward pass recomputes `e` from its arguments, rather than saving it."""
    return bool(e.args) and operations.find(e.op).cheap
