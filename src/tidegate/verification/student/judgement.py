"""The judgement of a student's gradients: each tensor, where the first departs from the right one, and the mistake."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tidegate.verification.student.diagnosis import Diagnosis
from tidegate.verification.student.trajectory import Key


@dataclass(frozen=True)
class Finding:
    """One tensor that the student returned.

    error: the largest relative error of its gates' blocks; None where it has the wrong shape or is not finite, as
    `problem` says. bound: the largest error that passes. gates: those whose blocks are wrong. steps: the steps t at
    which a tensor (T, B, ...) is wrong. worst: the index of the largest difference, the expected value, the returned.
    """

    name: str
    error: float | None
    bound: float
    problem: str = ""
    gates: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    worst: tuple[tuple[int, ...], float, float] | None = None

    @property
    def passed(self) -> bool:
        return self.error is not None and self.error <= self.bound

    def line(self) -> str:
        if self.error is None:
            return f"{self.name:14} {'-':>9}  WRONG  {self.problem}"
        details = [f"gate{'s' * (len(self.gates) > 1)} {', '.join(self.gates)}"] if self.gates else []
        details += [f"t = {in_ranges(self.steps)}"] if self.steps else []
        return f"{self.name:14} {self.error:9.1e}  {'ok' if self.passed else 'WRONG'}  {', '.join(details)}".rstrip()


@dataclass(frozen=True)
class Judgement:
    """The comparison of a student's gradients with the right ones.

    seed: None where the arrays were given. missing: the gradients that were not returned. where: sentences on where the
    gradients depart from the right ones.
    """

    cell: str
    sizes: tuple[int, int, int, int]
    seed: int | None
    findings: tuple[Finding, ...]
    missing: tuple[str, ...]
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    where: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.missing and all(finding.passed for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        T, B, D, H = self.sizes
        numbers = "given arrays" if self.seed is None else f"seed {self.seed}"
        yield f"{self.cell}, your gradients: T {T}, B {B}, D {D}, H {H}, {numbers}"
        yield f"{'tensor':14} {'error':>9}  verdict"
        yield from (finding.line() for finding in self.findings)
        wrong = [finding.name for finding in self.findings if not finding.passed]
        lacking = f"Not returned, but required: {', '.join(self.missing)}."
        if not wrong and self.missing:
            yield f"The {len(self.findings)} tensors that you returned are right. {lacking}"
            return
        if not wrong:
            yield f"All {len(self.findings)} tensors that you returned are right."
            return
        if self.missing:
            yield lacking
        yield f"Wrong: {len(wrong)} of {len(self.findings)} tensors ({', '.join(wrong)})."
        yield from self.explanation()
        yield from self.where

    def explanation(self) -> Iterator[str]:
        diagnosis = self.diagnosis
        for k, each in enumerate(diagnosis.found, 1):
            number = f" {k}" if len(diagnosis.found) > 1 else ""
            yield f"Likely mistake{number}: {each.mistake.kind} (in {self.names(each.blocks)}): {each.mistake.text}"
            yield f"  Planted in the right program, it gives your numbers (relative distance {each.distance:.0e})."
        for mistake in diagnosis.alternatives:
            yield f"  Or, with the same numbers: {mistake.kind}: {mistake.text}"
        if diagnosis.unexplained:
            yield f"No mistake that is known here gives your {self.names(diagnosis.unexplained)}."

    def names(self, blocks: Iterable[Key]) -> str:
        """The tensors of the blocks; with gates where only some of a tensor's wrong gates are among them."""
        wrong = {finding.name: finding.gates for finding in self.findings}
        gates: dict[str, list[str]] = {}
        for name, gate in blocks:
            gates.setdefault(name, []).append(gate)
        return ", ".join(
            name if set(wrong[name]) <= set(mine) else f"{name}[{', '.join(mine)}]" for name, mine in gates.items()
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists, for JSON."""
        return {
            "passed": self.passed,
            "cell": self.cell,
            "sizes": dict(zip("TBDH", self.sizes)),
            "seed": self.seed,
            "missing": list(self.missing),
            "tensors": [
                {
                    "name": f.name, "passed": f.passed, "error": f.error, "bound": f.bound,
                    "problem": f.problem or None, "wrong_gates": list(f.gates), "wrong_steps": list(f.steps),
                    "worst": f.worst and dict(zip(("index", "expected", "got"), (list(f.worst[0]), *f.worst[1:]))),
                }
                for f in self.findings
            ],
            "mistakes": [
                {"kind": m.mistake.kind, "text": m.mistake.text, "explains": [label(b) for b in m.blocks],
                 "distance": m.distance}
                for m in self.diagnosis.found
            ],
            "alternatives": [{"kind": m.kind, "text": m.text} for m in self.diagnosis.alternatives],
            "unexplained": [label(block) for block in self.diagnosis.unexplained],
            "where": list(self.where),
        }  # fmt: skip


def label(block: Key) -> str:
    return f"{block[0]}[{block[1]}]" if block[1] else block[0]


def in_ranges(numbers: tuple[int, ...]) -> str:
    """Numbers in rising order, as "0 to 3, 5"."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
