"""When gradients vanish or explode: the product of Jacobians, an upper and a lower bound, and the spectral radius."""

from tidegate.calculus.derivation.effects import gate_effects
from tidegate.calculus.derivation.formula import (
    BLANK,
    ONE,
    Apply,
    Formula,
    Name,
    Norm,
    Number,
    Over,
    Partial,
    Power,
    Product,
    Relation,
    Sum,
    Transpose,
    product,
    total,
    upright,
    write,
)
from tidegate.calculus.derivation.parts import Equation, Part, Section
from tidegate.calculus.derivation.paths import passed, routes
from tidegate.calculus.derivation.setting import Setting, in_lines
from tidegate.calculus.derivation.verdicts import verdict
from tidegate.calculus.jacobian import Path
from tidegate.calculus.ranges import split_by_range


def bound_section(setting: Setting) -> Section:
    notation = setting.notation
    J, past = notation.J(), notation.states("t-K")
    chain = Partial(notation.states(), past)
    each = notation.J("t-k")
    body: list[Part] = []
    if len(setting.step.state) > 1:
        h = notation.value(setting.step.state[0])
        L, s = notation.loss(0), notation.states()
        body.append(setting.sentence("s", s=s, gradient=Partial(L, s), own=Partial(L, h)))
    Lt, limit = notation.loss(0), Name("γ")
    body += [
        setting.sentence("K steps"),
        Equation((chain, Over("prod", "k", "0", "K-1", each)), why=setting.because("chain rule")),
        Equation((Partial(Lt, past), Product((Transpose(chain), Partial(Lt, notation.states())), matrix=True))),
        setting.sentence("upper", norm=Norm(J, "2")),
        Equation((Norm(chain, "2"), Over("prod", "k", "0", "K-1", Norm(each, "2"))), "<="),
        *upper(setting),
        setting.sentence(
            "upper means", bounded=Relation(Norm(J, "2"), limit, "<="), power=Power(limit, "K"), norm=Norm(J, "2")
        ),
        setting.sentence("lower", least=Norm(J, "least")),
        Equation((Norm(chain, "least"), Over("prod", "k", "0", "K-1", Norm(each, "least"))), ">="),
        *lower(setting),
        setting.sentence("products"),
        determinant(setting),
        setting.sentence("fixed point", radius=Apply("ρ", (J,)), J=J),
        Equation((Norm(Power(J, "K"), "2"), Power(Apply("ρ", (J,)), "K")), ">="),
        setting.sentence("fixed point means", radius=Apply("ρ", (J,))),
        *verdict(setting),
        *gate_effects(setting),
    ]
    return setting.section("bounds", body)


def majorant(path: Path, setting: Setting, *, ranges: bool) -> Formula:
    """A bound of the path's norm; with `ranges`, factors whose range is known are replaced by their bounds."""
    notation = setting.notation
    named = notation.values()
    if ranges:
        known, rest = split_by_range(path.factor)
        factors: list[Formula] = [Number(known)] if known != 1 else []
        factors += [] if rest is None else [Norm(write(rest, named, outermost=False), "max")]
    else:
        factor = write(path.factor, named, outermost=False)
        factors = [factor] if isinstance(factor, Number) else [Norm(factor, "max")]
    if path.gate is not None:
        inner = total([majorant(p, setting, ranges=ranges) for p in path.inner])
        factors += [Norm(upright(notation.U(notation.sub(path.gate))), "2")] + ([] if inner == ONE else [inner])
    factors = [f for f in factors if f != ONE]
    return ONE if not factors else factors[0] if len(factors) == 1 else Product(tuple(factors), matrix=True)


def upper(setting: Setting) -> list[Part]:
    body: list[Part] = []
    for key, paths in routes(setting.step).blocks.items():
        if paths:
            exact = [majorant(path, setting, ranges=False) for path in paths]
            worst = total([majorant(path, setting, ranges=True) for path in paths])
            body += in_lines(Norm(setting.notation.J(0, *key), "2"), [(share, ()) for share in exact], "<=")
            if worst != total(exact):
                body.append(Equation((BLANK, worst), "<=", why=setting.words("by ranges")))
    return body


def lower(setting: Setting) -> list[Part]:
    """The smallest singular value of the blocks of which a bound above zero is known."""
    body: list[Part] = []
    for key, paths in routes(setting.step).blocks.items():
        if key[0] != key[1] or not paths:
            continue
        bound = least(setting, paths)
        if bound is not None:
            body.append(
                Equation((Norm(setting.notation.J(0, *key), "least"), bound[0]), ">=", why=setting.words(bound[1]))
            )
    if not body:
        return [setting.sentence("no lower bound")]
    if len(setting.step.state) > 1:
        body.append(setting.sentence("lower of a block"))
    return body


def least(setting: Setting, found: tuple[Path, ...]) -> tuple[Formula, str] | None:
    """A lower bound of the smallest singular value of a sum of paths, and its reason; None if none is known."""
    notation = setting.notation
    named = notation.values()
    direct = [path for path in found if path.gate is None and not passed(path)]
    others = [path for path in found if path not in direct]
    if direct:
        factor = write(direct[0].factor, named, outermost=False)
        first: Formula = factor if isinstance(factor, Number) else Norm(factor, "min")
        rest = [majorant(path, setting, ranges=False) for path in others]
        return Sum(((1, first), *((-1, share) for share in rest))), "smallest of a sum" if rest else "diagonal"
    if len(found) == 1 and found[0].gate is not None and len(found[0].inner) == 1:
        path = found[0]
        if path.inner[0].gate is None and path.inner[0].factor.value == 1:
            factor = Norm(write(path.factor, named, outermost=False), "min")
            U = Norm(upright(notation.U(notation.sub(str(path.gate)))), "least")
            return product([factor, U], matrix=True), "smallest of a product"
    return None


def determinant(setting: Setting) -> Equation:
    """The geometric mean of the singular values is below the largest."""
    notation = setting.notation
    size = "1/H" if len(setting.step.state) == 1 else f"1/({len(setting.step.state)}H)"
    chain = Partial(notation.states(), notation.states("t-K"))
    each = Power(Norm(Apply("det", (notation.J("t-k"),)), "abs"), size)
    return Equation((Norm(chain, "2"), Over("prod", "k", "0", "K-1", each)), ">=", why=setting.words("geometric mean"))
