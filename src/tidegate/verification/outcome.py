"""The result of a verification: every comparison, the worst of them, and the gate whose gradient is wrong."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tidegate.errors import ArgumentError
from tidegate.notebook import output
from tidegate.verification.fault import Fault
from tidegate.verification.listing import Listing, list_numbers
from tidegate.verification.problem import Problem

WIDTH = 100  # of the lines of a table, in characters
NORM = 10  # of the column of norms, which only the first lines have


@dataclass(frozen=True)
class Check:
    """One quantity of the derived BPTT against one oracle.

    gate: the gate or vector whose block it is, "" for a quantity that belongs to none. norm: the norm of the derived
    value. error: the norm of the difference, relative to the norm of the block, or to a hundredth of the norm of the
    complete quantity where that is larger. bound: the largest error that passes.
    """

    quantity: str
    gate: str
    oracle: str
    norm: float
    error: float
    bound: float

    @property
    def passed(self) -> bool:
        return self.error <= self.bound  # NaN does not pass

    @property
    def label(self) -> str:
        return f"{self.quantity}[{self.gate}]" if self.gate else self.quantity


@dataclass(frozen=True)
class Comparison:
    """One problem, computed by the derived BPTT and by every oracle that can run it.

    seed: of its random numbers; None where they were given. part: the layer and direction of a layer's parameters,
    such as "l0_reverse". absent: oracles that cannot run this, with the reasons. fault: the first wrong gradient of
    the derived backward step, if there is one. plant: the term in which an error was planted. problem: its numbers in
    float64, where they are kept.
    """

    cell: str
    sizes: tuple[int, int, int, int]
    seed: int | None
    options: tuple[str, ...]
    checks: tuple[Check, ...]
    absent: Mapping[str, str]
    part: str = ""
    fault: Fault | None = None
    plant: str | None = None
    problem: Problem | None = field(default=None, repr=False)

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def oracles(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(check.oracle for check in self.checks))

    @property
    def worst(self) -> Check:
        """The check with the largest error relative to its bound."""
        return max(self.checks, key=lambda check: check.error / check.bound if check.error == check.error else np.inf)

    @property
    def worst_gate(self) -> str:
        """The gate, state or vector of the fault, or else the gate of the worst check that belongs to one."""
        if self.fault:
            return ", ".join((*self.fault.gates, *self.fault.states, *self.fault.vectors))
        failed = [c for c in self.checks if c.gate and not c.passed] or [c for c in self.checks if c.gate]
        return max(failed, key=lambda c: c.error / c.bound if c.error == c.error else np.inf).gate

    @property
    def title(self) -> str:
        T, B, D, H = self.sizes
        options = f", {', '.join(self.options)}" if self.options else ""
        numbers = "given arrays" if self.seed is None else f"seed {self.seed}"
        return f"{self.cell}{' ' + self.part if self.part else ''}: T {T}, B {B}, D {D}, H {H}, {numbers}{options}"

    def __str__(self) -> str:
        return "\n".join([self.title, *self.table(), *self.verdict()])

    def table(self) -> Iterator[str]:
        """One line for each quantity: its norm, its error against each oracle ("!" if too large), whether all pass.

        Oracles for which a line has no room have lines below, with the verdict on all of them.
        """
        rows: dict[str, dict[str, Check]] = {}
        for check in self.checks:
            rows.setdefault(check.label, {})[check.oracle] = check
        parts = in_lines(self.oracles)
        for k, part in enumerate(parts):
            last = k == len(parts) - 1
            head = [f"{oracle:>{width_of(oracle)}}" for oracle in part]
            yield "".join([f"{'quantity':10}", f"{'norm':>{NORM}}" * (k == 0), *head, "  verdict" * last])
            for label, row in rows.items():
                cells = [f"{cell(row.get(oracle)):>{width_of(oracle)}}" for oracle in part]
                norm = f"{next(iter(row.values())).norm:{NORM}.2e}" * (k == 0)
                good = all(check.passed for check in row.values())
                yield "".join([f"{label:10}", norm, *cells, f"  {'ok' if good else 'WRONG'}" * last]).rstrip()

    def verdict(self) -> Iterator[str]:
        yield from (f"not compared with {oracle}: {reason}" for oracle, reason in self.absent.items())
        if self.plant:
            yield f"planted error: {self.plant} has the wrong sign"
        failed = [check for check in self.checks if not check.passed]
        worst = self.worst
        if not failed:
            yield f"All {len(self.checks)} comparisons agree. Closest to its bound: {described(worst)}."
            yield f"The gate closest to its bound: {self.worst_gate}."
            return
        yield f"FAILED: {len(failed)} of {len(self.checks)} comparisons; worst: {described(worst)}."
        if self.fault:
            yield f"The first wrong gradient of the backward pass: {self.fault}."
        else:
            yield f"The derived backward step agrees with autograd; worst gate: {self.worst_gate}."

    def _repr_html_(self) -> str:
        from tidegate.verification.display import comparison_html

        return output(comparison_html(self))

    def side_by_side(self) -> Listing:
        """Every number of the problem: NumPy beside torch.nn and torch's autograd."""
        if self.problem is None:
            raise ArgumentError("the numbers of this comparison were not kept: use `verify`, not `verify_all`.")
        return list_numbers(self.problem, self.plant)


def width_of(oracle: str) -> int:
    """The width of the column of an oracle, with the space before it."""
    return max(len(oracle), 8) + 2


def in_lines(oracles: Sequence[str]) -> list[list[str]]:
    """The oracles in groups, each with room in a line of WIDTH characters."""
    room = WIDTH - len(f"{'quantity':10}  verdict")
    groups: list[list[str]] = [[]]
    for oracle in oracles:
        beside = NORM * (len(groups) == 1) + sum(map(width_of, groups[-1]))
        if groups[-1] and beside + width_of(oracle) > room:
            groups.append([])
        groups[-1].append(oracle)
    return groups


def cell(check: Check | None) -> str:
    return "-" if check is None else f"{check.error:.1e}{' ' if check.passed else '!'}"


def described(check: Check) -> str:
    return f"{check.label} against {check.oracle}, {check.error:.1e} of {check.bound:.0e} allowed"


@dataclass(frozen=True, repr=False)
class Verification:
    """The comparisons of one cell, of every part of a layer, or of all cells.

    planted: whether a planted error was found, for each term in which one was planted.
    """

    comparisons: tuple[Comparison, ...]
    seconds: float
    planted: Mapping[str, bool] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(comparison.passed for comparison in self.comparisons) and all(self.planted.values())

    @property
    def checks(self) -> tuple[Check, ...]:
        return tuple(check for comparison in self.comparisons for check in comparison.checks)

    @property
    def worst_gate(self) -> str:
        ranked = sorted(self.comparisons, key=lambda c: (c.passed, -c.worst.error / c.worst.bound))
        return ranked[0].worst_gate

    def __repr__(self) -> str:
        failed = sum(not check.passed for check in self.checks)
        outcome = f"{failed:,} of them FAILED" if failed else "all agree"
        return f"<Verification: {len(self.checks):,} comparisons, {outcome}>"

    def __str__(self) -> str:
        if not self.planted and len(self.comparisons) <= 4:
            return "\n\n".join(map(str, self.comparisons))
        return self.summary()

    def _repr_html_(self) -> str:
        from tidegate.verification.display import verification_html

        return verification_html(self)

    def summary(self) -> str:
        """Counts, the worst error of each quantity against each oracle, and every failure: to paste into an issue."""
        checks, oracles = self.checks, list(dict.fromkeys(check.oracle for check in self.checks))
        cells = dict.fromkeys(comparison.cell for comparison in self.comparisons)
        options = dict.fromkeys(option for c in self.comparisons for option in c.options)
        failed = [comparison for comparison in self.comparisons if not comparison.passed]
        outcome = f"{sum(not c.passed for c in checks):,} FAILED" if failed else "all agree"
        lines = [
            f"tidegate verify: {len(checks):,} comparisons in {len(self.comparisons):,} problems: {outcome}; "
            f"{self.seconds:.0f} s",
            *environment(),
            f"cells: {', '.join(cells)}",
            f"options: {', '.join(options) or 'none'}",
            f"planted errors: {sum(self.planted.values())} of {len(self.planted)} found, with the gate",
            *(f"NOT FOUND: {term}" for term, found in self.planted.items() if not found),
            "",
            "worst relative error of each quantity against each oracle (! fails; bounds: 1e-12 in float64, 1e-7 for",
            "differences, in float32 1e-6 forward and 1e-5 for gradients):",
            "",
            "| quantity | " + " | ".join(oracles) + " |",
            "|" + "---|" * (len(oracles) + 1),
        ]
        for quantity in dict.fromkeys(check.quantity for check in checks):
            row = [self.worst_of(quantity, oracle) for oracle in oracles]
            lines.append(f"| {quantity} | " + " | ".join(cell(check).strip() for check in row) + " |")
        lines += ["", *(f"not compared with {oracle}: {reason} ({count} problems)" for (oracle, reason), count in
                        self.absences().items())]  # fmt: skip
        for comparison in failed:
            lines += ["", str(comparison)]
        return "\n".join(lines)

    def worst_of(self, quantity: str, oracle: str) -> Check | None:
        found = [c for c in self.checks if c.quantity == quantity and c.oracle == oracle]
        return max(found, key=lambda c: c.error / c.bound if c.error == c.error else np.inf, default=None)

    def absences(self) -> dict[tuple[str, str], int]:
        counts: dict[tuple[str, str], int] = {}
        for comparison in self.comparisons:
            for absence in comparison.absent.items():
                counts[absence] = counts.get(absence, 0) + 1
        return counts

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists, for JSON."""
        return {
            "passed": self.passed,
            "seconds": self.seconds,
            "environment": list(environment()),
            "planted": dict(self.planted),
            "comparisons": [
                {
                    "cell": c.cell,
                    "part": c.part,
                    "sizes": dict(zip("TBDH", c.sizes)),
                    "seed": c.seed,
                    "options": list(c.options),
                    "passed": c.passed,
                    "worst_gate": c.worst_gate,
                    "planted": c.plant,
                    "fault": None if c.fault is None else str(c.fault),
                    "not_compared": dict(c.absent),
                    "checks": [
                        {
                            "quantity": k.quantity,
                            "gate": k.gate or None,
                            "oracle": k.oracle,
                            "norm": k.norm,
                            "error": k.error if np.isfinite(k.error) else str(k.error),
                            "bound": k.bound,
                            "passed": k.passed,
                        }
                        for k in c.checks
                    ],
                }
                for c in self.comparisons
            ],
        }


def environment() -> Iterator[str]:
    import tidegate

    yield (
        f"tidegate {tidegate.__version__}, torch {torch.__version__}, NumPy {np.__version__}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{torch.get_num_threads()} threads"
    )
