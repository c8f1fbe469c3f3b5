"""What every section of a derivation is written with: the step, the letters, the language, and how much is shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate.calculus.adjoint import Adjoint
from tidegate.calculus.derivation.formula import BLANK, Formula
from tidegate.calculus.derivation.language import Language
from tidegate.calculus.derivation.notation import Notation, index_of
from tidegate.calculus.derivation.parts import Equation, Section, Sentence, Words
from tidegate.calculus.derivation.roles import is_gate, new_state_of
from tidegate.calculus.step import Step


@dataclass(frozen=True)
class Setting:
    """`full`: with every intermediate step and its reason. `labels`: what the cell's docstring calls its gates.

    `swapped`: the update gates that were replaced by their complement.
    """

    step: Step
    notation: Notation
    language: Language
    full: bool
    labels: Mapping[str, str]
    swapped: tuple[str, ...] = ()

    @property
    def rule(self) -> Adjoint:
        return self.notation.rule

    def sentence(self, key: str, **values: Formula | str | Words) -> Sentence:
        return Sentence(self.words(key, **values))

    def words(self, key: str, **values: Formula | str | Words) -> Words:
        return self.language.words(key, **values)

    def because(self, key: str, **values: Formula | str | Words) -> Words:
        """A reason, where steps are shown."""
        return self.words(key, **values) if self.full else ()

    def section(self, key: str, body: Sequence, **values: str) -> Section:
        return Section(self.language.text(key, **values), tuple(body))

    def each(self, gates: Sequence[str], make: Callable[[str], Equation]) -> list[Equation]:
        """One equation for all these gates: `make` of a letter that stands for any subscript, or of the only one."""
        if not gates:
            return []
        subs = tuple(self.notation.sub(g) for g in gates)
        if len(subs) == 1:
            return [make(subs[0])]
        index = index_of(self.step)
        made = make(index)
        return [Equation(made.parts, made.relation, made.shape, index, subs, made.why)]

    def label(self, g: str) -> str | None:
        """What the cell's docstring calls the gate, in the language of the derivation."""
        return self.language.label(self.labels[g]) if g in self.labels else None

    def role(self, g: str) -> Words:
        """ "reset gate r", "gate r" or "candidate n", or "the new state" where the value of the gate is one."""
        name = replace(self.notation.value(g), time=None)
        if new_state_of(self.step, g) is not None:
            return self.words("the new state", name=name)
        label = self.label(g)
        if label is not None:
            return self.words("labelled", label=label, name=name)
        return self.words("gate" if is_gate(self.step, g) else "candidate", name=name)


def in_lines(left: Formula, terms: Sequence[tuple[Formula, Words]], relation: str = "=") -> list[Equation]:
    """left = a sum, one term per line, each with its reason."""
    (first, why), *rest = terms
    return [
        Equation((left, first), relation, why=why),
        *(Equation((BLANK, f), "+", why=reason) for f, reason in rest),
    ]
