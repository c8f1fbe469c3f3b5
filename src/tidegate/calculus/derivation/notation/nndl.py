"""The letters of NNDL: X. Qiu, Neural Networks and Deep Learning (in Chinese, 2020), chapter 6."""

from tidegate.calculus.derivation.formula import Formula, Name
from tidegate.calculus.derivation.notation.base import Time, written_time
from tidegate.calculus.derivation.notation.books import Book


class NNDL(Book):
    """U, W and b; z_t is the net input of a layer and delta its error term; a tilde marks a candidate.

    With more than one gate the weights have the gate as subscript, a candidate the state. The letter z of a net input
    becomes a where the cell has a gate or a state z, as the GRU.
    """

    name = "nndl"

    def value(self, name: str, time: Time = 0) -> Name:
        letter, accent = self.letter(name)
        return Name(letter, time=time, accent=accent)

    def sub(self, g: str) -> str:
        return "" if len(self.step.gates) == 1 else super().sub(g)

    def c(self, sub: str) -> Name:
        return Name("c", sub) if sub else Name("c", "U")

    def output_bias(self) -> Name:
        taken = "c" in self.step.state or not all(self.merged(g) for g in self.step.products)
        return Name("c", next(sub for sub in ("y", "out") if sub not in self.step.gates)) if taken else Name("c")

    def loss(self, time: Time | None = None) -> Name:
        return Name("ℒ", time=time)

    def pre(self, sub: str, time: Time = 0) -> Name:
        return Name(self.free("z", "a", "net"), sub, time)

    def pre_error(self, sub: str, time: Time = 0, loss: Time | None = None) -> Formula:
        return Name("δ", sub, time if loss is None else f"{written_time(loss)},{written_time(time)}")
