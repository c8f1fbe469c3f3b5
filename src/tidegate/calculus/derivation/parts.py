"""What a derivation consists of: sections of sentences, equations and tables."""

from dataclasses import dataclass

from tidegate.calculus.derivation.formula import BLANK, Formula

#: Text and formulas in turn.
Words = tuple[str | Formula, ...]


@dataclass(frozen=True)
class Equation:
    """left = middle = ... = right, with its shape, the gates that its index letter stands for, and the reason.

    With BLANK on the left it continues the line above, and `relation` is the sign between them. `shape` are the sizes
    of its values, `gates` the subscripts that the letter `index` stands for.
    """

    parts: tuple[Formula, ...]
    relation: str = "="
    shape: tuple[str, ...] = ()
    index: str = ""
    gates: tuple[str, ...] = ()
    why: Words = ()

    def note(self) -> str:
        """The shape and the gates, as "(H × D), g = r, z, n"; nothing where it continues another line."""
        if self.parts[0] == BLANK:
            return ""
        shape = f"({' × '.join(self.shape)})" if self.shape else ""
        gates = f"{self.index} = {', '.join(self.gates)}" if self.gates else ""
        return ", ".join(filter(None, (shape, gates)))


@dataclass(frozen=True)
class Sentence:
    parts: Words


@dataclass(frozen=True)
class Table:
    """A head and rows of cells."""

    head: tuple[Words, ...]
    rows: tuple[tuple[Words, ...], ...]


@dataclass(frozen=True)
class Items:
    """A list of sentences, one line each."""

    items: tuple[Sentence, ...]


Part = Equation | Sentence | Table | Items


@dataclass(frozen=True)
class Section:
    title: str
    body: tuple[Part, ...]


def grouped(body: tuple[Part, ...]) -> list[list[Equation] | Sentence | Table | Items]:
    """Consecutive equations together in lists."""
    groups: list[list[Equation] | Sentence | Table | Items] = []
    for item in body:
        if not isinstance(item, Equation):
            groups.append(item)
        elif groups and isinstance(groups[-1], list):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups
