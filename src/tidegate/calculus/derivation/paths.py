"""The Jacobian of a step as a sum over paths, the bound that follows for many steps, and the effect of each gate."""

import math
from itertools import product as combinations

from tidegate.calculus.derivation.document import Equation, Section, Sentence
from tidegate.calculus.derivation.formula import (
    BLANK,
    ZERO,
    Formula,
    Matrix,
    Name,
    Norm,
    Number,
    Over,
    Partial,
    Product,
    Sum,
    diagonal,
    product,
    total,
    write,
)
from tidegate.calculus.derivation.naming import values
from tidegate.calculus.derivation.recursion import in_lines
from tidegate.calculus.jacobian import Jacobian, Path, jacobian
from tidegate.calculus.ranges import largest, range_of, split_by_range
from tidegate.calculus.step import Step


def path_formula(path: Path, step: Step, time: int = 0) -> Formula:
    """diag(factor), or diag(factor) U_g (paths of the operand)."""
    left = diagonal(write(path.factor, values(step, time), outermost=False))
    if path.gate is None:
        return left
    inner = total([path_formula(p, step, time) for p in path.inner])
    return product([left, Name("U", path.gate), inner], matrix=True)


def block_formula(paths: tuple[Path, ...], step: Step, time: int = 0) -> Formula:
    return total([path_formula(path, step, time) for path in paths])


def block_name(step: Step, new: str, old: str, time: int = 0) -> Name:
    return Name("J", f"{new}{old}" if len(step.state) > 1 else "", time)


def jacobian_section(step: Step) -> Section:
    J = jacobian(step)
    body: list[Equation | Sentence] = []
    if len(step.state) == 1:
        (s,) = step.state
        body.append(Equation((Name("J", time=0), Partial(Name(s, time=0), Name(s, time=-1))), "(H × H)"))
    else:
        before, after = ([Name(s, time=time) for s in step.state] for time in (-1, 0))
        blocks = tuple(tuple(block_name(step, new, old) for old in step.state) for new in step.state)
        words = "The Jacobian is that of all states together. The block "
        alone = " alone, with the other states held constant, is not the matrix by which a gradient is multiplied."
        body.append(Sentence((words, Partial(after[0], before[0]), alone)))
        size = len(step.state)
        body.append(Equation((Name("J", time=0), Matrix(blocks)), f"({size}H × {size}H)"))
        for new, old in combinations(step.state, step.state):
            left = Partial(Name(new, time=0), Name(old, time=-1))
            body.append(Equation((block_name(step, new, old), left), "(H × H)"))
    body.append(Sentence(("As a sum over paths:",)))
    for (new, old), paths in J.blocks.items():
        shares = [(path_formula(p, step), "direct" if p.gate is None else f"through gate {p.gate}") for p in paths]
        body += in_lines(block_name(step, new, old), shares or [(ZERO, "no path")])
    return Section("The Jacobian of a step", tuple(body))


def majorant(path: Path, step: Step, *, ranges: bool) -> Formula:
    """A bound of the path's norm; with `ranges`, factors whose range is known are replaced by their bounds."""
    named = values(step)
    if ranges:
        known, rest = split_by_range(path.factor)
        factors: list[Formula] = [Number(known)] if known != 1 else []
        factors += [] if rest is None else [Norm(write(rest, named, outermost=False), "max")]
    else:
        factor = write(path.factor, named, outermost=False)
        factors = [factor] if isinstance(factor, Number) else [Norm(factor, "max")]
    if path.gate is not None:
        inner = total([majorant(p, step, ranges=ranges) for p in path.inner])
        factors += [Norm(Name("U", path.gate), "2")] + ([] if inner == Number(1) else [inner])
    factors = [f for f in factors if f != Number(1)]
    return Number(1) if not factors else factors[0] if len(factors) == 1 else Product(tuple(factors), matrix=True)


def bound_section(step: Step) -> Section:
    J = jacobian(step)
    many = len(step.state) > 1
    body: list[Equation | Sentence] = []
    first = Name("s" if many else step.state[0], time=0)
    state = "Here s is the vector of all states. " if many else ""
    parts = (f"{state}Going back K steps multiplies a gradient by K Jacobians. With ", Norm(Name("J", time=0), "2"))
    body.append(Sentence((*parts, " the largest singular value:")))
    product_of = Over("prod", "k", "0", "K-1", Norm(Name("J", time="t-k"), "2"))
    body.append(Equation((Norm(Partial(first, Name(first.letter, time="t-K")), "2"), product_of), relation="<="))
    for (new, old), paths in J.blocks.items():
        if not paths:
            continue
        left = Norm(block_name(step, new, old), "2")
        exact = [(majorant(p, step, ranges=False), "") for p in paths]
        worst = total([majorant(p, step, ranges=True) for p in paths])
        body += in_lines(left, exact, "<=")
        if worst != total([share for share, _ in exact]):
            body.append(Equation((BLANK, worst), "by the ranges of the functions", "<="))
    for s in step.state:
        body.append(direct_path(J, s))
    body += gate_effects(J)
    return Section("What the Jacobian does to a gradient over K steps", tuple(body))


def direct_path(J: Jacobian, s: str) -> Sentence:
    """Sentences on the effect of the direct path of the state on its gradient, or that there is none."""
    step, paths = J.step, J.blocks[s, s]
    named = values(step)
    straight = [path for path in paths if path.gate is None]
    own = Name(s, time=0)
    if not straight:
        through = [path.gate for path in paths]
        gamma = sum(largest(path.factor) for path in paths) if all(plain(p) for p in paths) else math.inf
        if len(through) == 1 and gamma < math.inf:
            U = Norm(Name("U", str(through[0])), "2")
            return Sentence(
                ("There is no direct path: one step multiplies the gradient with respect to ", own, " by at most ",
                 Product((Number(gamma), U), matrix=True) if gamma != 1 else U, ". If that is below 1 the gradient "
                 "vanishes, at least as fast as its K-th power; it can explode only if ", U,
                 f" is above {1 / gamma:g}. The same matrix determines both the new values and how long old ones are "
                 "kept.")
            )  # fmt: skip
        return Sentence(("There is no direct path from ", Name(s, time=-1), " to ", own, ": its gradient passes only "
                         "through the matrix products and the other states.",))  # fmt: skip
    factor = straight[0].factor
    if factor.value == 1:
        others = [majorant(p, step, ranges=True) for p in paths if p.gate is not None]
        grow = Sum(((1, Number(1)), *((1, o) for o in others)))
        return Sentence(
            ("The direct path is the identity: alone it would leave the gradient with respect to ", own, " unchanged "
             "over any number of steps. The other paths are added to it, and no gate limits them: the gradient can "
             "shrink only in directions in which they cancel the identity, and the bound is the K-th power of ", grow,
             ", which grows without limit.")
        )  # fmt: skip
    low, high = range_of(factor)
    written = write(factor, named, outermost=False)
    if (low, high) == (0, 1):
        return Sentence(
            ("The direct path multiplies the gradient with respect to each unit of ", own, " by ", written,
             ", a number between 0 and 1 that the cell computes for that unit, without a matrix product: over K steps "
             "these numbers are multiplied. With 0.99 half of the gradient remains after 69 steps, with 0.9 after 7, "
             "with 0.5 after 1.")
        )  # fmt: skip
    reach = (
        f"between {low:g} and {high:g}"
        if math.isfinite(low) and math.isfinite(high)
        else "for which no bound follows from the equations"
    )
    return Sentence(
        ("The direct path multiplies the gradient with respect to each unit of ", own, " by ", written, f", {reach}.")
    )


def plain(path: Path) -> bool:
    return all(p.gate is None and p.factor.value == 1 for p in path.inner)


def gate_effects(J: Jacobian) -> list[Equation | Sentence]:
    """The Jacobian with each gate closed and open, and with each candidate saturated, the others unchanged."""
    step = J.step
    held = {e: e for e in (*step.gate.values(), *step.new.values())}
    body: list[Equation | Sentence] = []
    if len(J.blocks) > 1:
        body.append(Sentence(("With one gate held open or closed these blocks change, and the others do not:",)))
    for g, e in step.gate.items():
        if e.op == "sigmoid":
            for value, word in ((1, "open"), (0, "closed")):
                body += case(J, J.replaced(held | {e: value}), (f"Gate {g} {word}, ", Name(g, time=0), f" = {value}:"))
        elif e.op == "tanh":
            body += case(
                J, J.replaced(held | {1 - e * e: 0}), (f"Candidate {g} saturated, ", Name(g, time=0), " = ±1:")
            )
    return body


def case(J: Jacobian, changed: Jacobian, words: tuple[str | Formula, ...]) -> list[Equation | Sentence]:
    """The blocks that changed."""
    step = J.step
    lines = [
        line
        for key, paths in changed.blocks.items()
        if paths != J.blocks[key]
        for line in in_lines(block_name(step, *key), [(path_formula(path, step), "") for path in paths] or [(ZERO, "")])
    ]
    return [Sentence(words), *lines]


def unroll_section(step: Step, K: int) -> Section:
    """The product of K Jacobians, each written out, and the sum over all paths where that is short."""
    J = jacobian(step)
    many = len(step.state) > 1
    letter = "s" if many else step.state[0]
    left = Partial(Name(letter, time=0), Name(letter, time=-K))
    body: list[Equation | Sentence] = [Equation((left, product([Name("J", time=-k) for k in range(K)], matrix=True)))]
    for k in range(K):
        if many:
            names = tuple(tuple(block_name(step, new, old, -k) for old in step.state) for new in step.state)
            body.append(Equation((Name("J", time=-k), Matrix(names))))
        for (new, old), paths in J.blocks.items():
            shares = [(path_formula(path, step, -k), "") for path in paths]
            body += in_lines(block_name(step, new, old, -k), shares or [(ZERO, "")])
    paths = J.blocks[step.state[0], step.state[0]]
    if not many and 1 < len(paths) ** K <= 27:
        body.append(Sentence((f"Multiplied out, this is a sum over {len(paths) ** K} paths:",)))
        terms = [
            product([path_formula(path, step, -k) for k, path in enumerate(chosen)], matrix=True)
            for chosen in combinations(paths, repeat=K)
        ]
        body += in_lines(left, [(term, "") for term in terms])
    return Section(f"{K} step{'s' * (K > 1)} written out", tuple(body))
