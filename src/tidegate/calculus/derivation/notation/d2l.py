"""The letters of D2L: A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning (2021), chapters 8 and 9."""

from tidegate.calculus.derivation.formula import Formula, Name, Transpose
from tidegate.calculus.derivation.notation.base import Time
from tidegate.calculus.derivation.notation.books import Book


class D2L(Book):
    """Capitals for batches of rows, X_t (B, D) and H_t (B, H); W_xz (D, H) and W_hz (H, H) on their right; b_z.

    A candidate has a tilde and its weights the subscript of its state. A letter that two names would share stays small.
    The book has no letter for a net input; here it is A with the subscript of the gate.
    """

    name = "d2l"
    rows = True

    def capital(self, name: str) -> str:
        capital = name.upper() if len(name) == 1 else name
        taken = {*self.step.gates, *self.step.state, "X", "W", "L", "J"} - {name}
        return name if capital in taken else capital

    def value(self, name: str, time: Time = 0) -> Name:
        letter, accent = self.letter(name)
        return Name(self.capital(letter), time=time, accent=accent)

    def x(self, time: Time = 0) -> Name:
        return Name("X", time=time)

    def W(self, sub: str) -> Formula:
        return Transpose(Name("W", f"x{sub}"))

    def U(self, sub: str) -> Formula:
        return Transpose(Name("W", f"h{sub}"))

    def c(self, sub: str) -> Name:
        return Name("b", f"h{sub}")

    def output(self) -> str:
        return next(sub for sub in ("q", "out") if sub not in self.step.gates)

    def V(self) -> Formula:
        return Transpose(Name("W", f"h{self.output()}"))

    def output_bias(self) -> Name:
        return Name("b", self.output())

    def logits(self, time: Time = 0) -> Name:
        return Name(self.free("O", "S", "Q", "logits"), time=time)

    def target(self, time: Time = 0) -> Name:
        return Name(self.free("Y", "target"), time=time)

    def pre(self, sub: str, time: Time = 0) -> Name:
        return Name(self.free("A", "P", "Net"), sub, time)
