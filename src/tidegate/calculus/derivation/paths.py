"""The Jacobian of a step as a sum over paths, each named for what it passes through."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product as combinations

from tidegate.calculus.derivation.formula import ZERO, Formula, Matrix, Partial, diagonal, product, total, write
from tidegate.calculus.derivation.notation.base import Time
from tidegate.calculus.derivation.parts import Equation, Part, Section, Words
from tidegate.calculus.derivation.roles import new_state_of
from tidegate.calculus.derivation.setting import Setting, in_lines
from tidegate.calculus.derivative import gradients
from tidegate.calculus.expression import Expression, constant, subgraph, symbol
from tidegate.calculus.jacobian import Jacobian, Path, jacobian
from tidegate.calculus.step import Step
from tidegate.calculus.substitution import substitute

SQUARE = ("H", "H")


@dataclass(frozen=True)
class Route(Path):
    """A path and the gates that it passes through element by element, from the new state to the old one."""

    through: tuple[str, ...] = ()

    def replaced(self, values: Mapping[Expression, Expression | float]) -> "Route | None":
        path = super().replaced(values)
        return path and Route(path.factor, path.gate, path.inner, self.through)


@cache
def routes(step: Step) -> Jacobian:
    """The Jacobian with every path without a matrix split by the gates that it passes through."""
    blocks = {}
    for (new, old), paths in jacobian(step).blocks.items():
        direct = any(path.gate is None for path in paths)
        split = element_wise(step, step.new[new], step.old[old]) if direct else []
        found = [Route(factor, through=gates) for gates, factor in split]
        found += [Route(path.factor, path.gate, path.inner) for path in paths if path.gate is not None]
        blocks[new, old] = tuple(found)
    return Jacobian(step, blocks)


def passed(path: Path) -> tuple[str, ...]:
    """The gates that a path passes through element by element."""
    return path.through if isinstance(path, Route) else ()


def element_wise(step: Step, e: Expression, x: Expression) -> list[tuple[tuple[str, ...], Expression]]:
    """The derivative of e with respect to x with all products held constant, as (gates passed through, share)."""
    cut = {value: symbol(f"gate {g}") for g, value in step.gate.items() if value is not e}
    (body,) = substitute([e], cut)
    inside = set(subgraph([body]))
    gates = [g for g, value in step.gate.items() if cut.get(value) in inside]
    wrt = [x, *(cut[step.gate[g]] for g in gates)]
    back = {variable: value for value, variable in cut.items()}
    named = {substitute([v], {k: c for k, c in cut.items() if k is not v})[0]: v for v in step.new.values()}
    slopes = gradients([(body, constant(1))], wrt, set(named))
    found = []
    for variable, g in zip(wrt, [None, *gates]):
        (slope,) = substitute([slopes[variable]], back)
        if slope.value == 0:
            continue
        if g is None:
            found.append(((), slope))
        else:
            found += [((g, *further), slope * share) for further, share in element_wise(step, step.gate[g], x)]
    return found


def path_formula(path: Path, setting: Setting, time: Time = 0) -> Formula:
    """diag(factor), or diag(factor) U_g (paths of the operand)."""
    notation = setting.notation
    left = diagonal(write(path.factor, notation.values(time), outermost=False))
    if path.gate is None:
        return left
    inner = total([path_formula(p, setting, time) for p in path.inner])
    return product([left, notation.U(notation.sub(path.gate)), inner], matrix=True)


def through(setting: Setting, path: Path) -> Words:
    """What a path passes through."""
    g = path.gate
    gates = (*passed(path), *([g] if g is not None else []))
    if not gates:
        return setting.words("direct")
    if g is not None and new_state_of(setting.step, g) is not None:
        return setting.words("through the product")
    roles = setting.language.listed_words([setting.role(each) for each in gates])
    return setting.words("through", roles=roles)


def jacobian_section(setting: Setting) -> Section:
    step, notation = setting.step, setting.notation
    J, body = routes(step), list[Part]()
    if len(step.state) == 1:
        (s,) = step.state
        body.append(Equation((notation.J(), Partial(notation.value(s), notation.value(s, -1))), shape=SQUARE))
    else:
        before, after = ([notation.value(s, time) for s in step.state] for time in (-1, 0))
        blocks = tuple(tuple(notation.J(0, new, old) for old in step.state) for new in step.state)
        body.append(setting.sentence("all states", block=Partial(after[0], before[0])))
        size = f"{len(step.state)}H"
        body.append(Equation((notation.J(), Matrix(blocks)), shape=(size, size)))
        for new, old in combinations(step.state, step.state):
            left = Partial(notation.value(new), notation.value(old, -1))
            body.append(Equation((notation.J(0, new, old), left), shape=SQUARE))
    body.append(setting.sentence("paths, full" if setting.full else "paths"))
    for (new, old), paths in J.blocks.items():
        terms = [(path_formula(path, setting), through(setting, path)) for path in paths]
        body += in_lines(notation.J(0, new, old), terms or [(ZERO, setting.words("no path"))])
    return setting.section("jacobian", body)


def block_lines(setting: Setting, J: Jacobian, key: tuple[str, str], time: Time = 0) -> list[Equation]:
    """A block of a Jacobian as the sum of its paths, without what they pass through."""
    terms = [(path_formula(path, setting, time), ()) for path in J.blocks[key]]
    return in_lines(setting.notation.J(time, *key), terms or [(ZERO, ())])


def unroll_section(setting: Setting, K: int) -> Section:
    """The product of K Jacobians, each written out, and the sum over all paths where that is short."""
    step, notation = setting.step, setting.notation
    J, many = routes(step), len(step.state) > 1
    left = Partial(notation.states(), notation.states(-K))
    body: list[Part] = [Equation((left, product([notation.J(-k) for k in range(K)], matrix=True)))]
    for k in range(K):
        if many:
            names = tuple(tuple(notation.J(-k, new, old) for old in step.state) for new in step.state)
            body.append(Equation((notation.J(-k), Matrix(names))))
        for key in J.blocks:
            body += block_lines(setting, J, key, -k)
    paths = J.blocks[step.state[0], step.state[0]]
    if not many and 1 < len(paths) ** K <= 27:
        body.append(setting.sentence("multiplied out", count=str(len(paths) ** K)))
        terms = [
            product([path_formula(path, setting, -k) for k, path in enumerate(chosen)], matrix=True)
            for chosen in combinations(paths, repeat=K)
        ]
        body += in_lines(left, [(term, ()) for term in terms])
    return setting.section("unrolled" if K > 1 else "unrolled once", body, K=str(K))
