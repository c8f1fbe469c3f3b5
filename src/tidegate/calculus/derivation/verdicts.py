"""What the bounds say about one cell: when its gradient vanishes, when it explodes, and the remedy."""

import math

from tidegate.calculus.derivation.formula import (
    Apply,
    Formula,
    Name,
    Norm,
    Number,
    Product,
    Quotient,
    Relation,
    Sum,
    product,
    upright,
    write,
)
from tidegate.calculus.derivation.parts import Part, Section
from tidegate.calculus.derivation.paths import passed, routes
from tidegate.calculus.derivation.roles import is_gate, keepers
from tidegate.calculus.derivation.setting import Setting
from tidegate.calculus.expression import Expression
from tidegate.calculus.jacobian import Path, jacobian
from tidegate.calculus.ranges import largest, range_of


def verdict(setting: Setting) -> list[Part]:
    """One or more sentences for each state, by its direct path: none, the identity, a gate, or another factor."""
    found: list[Part] = []
    for s in setting.step.state:
        found += of_state(setting, s)
    return found


def direct_factor(setting: Setting, s: str) -> Expression | None:
    """The factor of the path from an old state to the new one that passes through no gate and no matrix."""
    paths = routes(setting.step).blocks[s, s]
    return next((path.factor for path in paths if path.gate is None and not passed(path)), None)


def of_state(setting: Setting, s: str) -> list[Part]:
    notation = setting.notation
    own, factor = notation.value(s), direct_factor(setting, s)
    if factor is None:
        return no_direct_path(setting, s)
    if factor.value == 1 and (len(setting.step.state) > 1 or any(is_gate(setting.step, g) for g in setting.step.gates)):
        return [setting.sentence("identity among others", own=own)]
    if factor.value == 1:
        return [
            setting.sentence("identity", own=own, mu=Name("μ"), gain=Norm(Sum(((1, Number(1)), (1, Name("μ")))), "abs"))
        ]
    low, high = range_of(factor)
    written = write(factor, notation.values(), outermost=False)
    if (low, high) == (0, 1):
        return [setting.sentence("gate path", own=own, factor=written)]
    if factor.value is not None:
        return [setting.sentence("constant path", own=own, factor=written)]
    if math.isfinite(low) and math.isfinite(high):
        return [setting.sentence("bounded path", own=own, factor=written, low=f"{low:g}", high=f"{high:g}")]
    return [setting.sentence("unbounded path", own=own, factor=written)]


def no_direct_path(setting: Setting, s: str) -> list[Part]:
    step, notation = setting.step, setting.notation
    paths = jacobian(step).blocks[s, s]
    gates = {path.gate for path in paths}
    alone = len(step.state) == 1 and len(gates) == 1 and all(plain(path) for path in paths)
    gamma = sum(largest(path.factor) for path in paths)
    if not (alone and math.isfinite(gamma)):
        return [setting.sentence("no direct path", old=notation.value(s, -1), own=notation.value(s))]
    U = Norm(upright(notation.U(notation.sub(str(paths[0].gate)))), "2")
    bound: Formula = U if gamma == 1 else Product((Number(gamma), U), matrix=True)
    key = "switched" if paths[0].factor.op == "step" else "saturating"
    return [
        setting.sentence("one matrix", own=notation.value(s), bound=bound, limit=Relation(U, Number(1 / gamma), ">")),
        setting.sentence(key, own=notation.value(s)),
    ]


def plain(path: Path) -> bool:
    return all(p.gate is None and p.factor.value == 1 for p in path.inner)


def remedy_section(setting: Setting) -> Section:
    """What helps against vanishing and exploding gradients of this cell."""
    step, notation = setting.step, setting.notation
    factors = {s: direct_factor(setting, s) for s in step.state}
    gated = [(g, s) for s, e in factors.items() for g in step.gate if e is step.gate[g] and is_gate(step, g)]
    gated += [(g, s) for g, value, s in keepers(step) if value == 0]
    gated = list(dict.fromkeys(gated))
    body: list[Part] = []
    if not gated:
        body.append(setting.sentence("remedy: gates"))
    for g, s in gated:
        keep = factors[s] is step.gate[g]
        K = Name("K")
        bias = Apply("log", (Sum(((1, K), (-1, Number(1)))),))
        value: Formula = bias if keep else Sum(((-1, bias),))
        body.append(
            setting.sentence("remedy: gate value", role=setting.role(g), value=Number(int(keep)), own=notation.value(s),
                             bias=Relation(notation.b(notation.sub(g)), value))
        )  # fmt: skip
    if any(e is not None and e.value == 1 for e in factors.values()):
        body.append(setting.sentence("remedy: mean"))
    if all(e is None for e in factors.values()):
        body.append(setting.sentence("remedy: orthogonal"))
    g, theta = Name("g"), Name("θ")
    clipped = product([Apply("min", (Number(1), Quotient(theta, Norm(g, "2")))), g], matrix=True)
    body.append(setting.sentence("remedy: clipping", clipped=clipped, g=g, theta=theta))
    return setting.section("remedy", body)
