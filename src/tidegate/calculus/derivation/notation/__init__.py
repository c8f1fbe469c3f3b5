"""The letters of a derivation: Tidegate's own, and those of two textbooks."""

from types import MappingProxyType

from tidegate.calculus.derivation.notation.base import Notation, index_of, shifted
from tidegate.calculus.derivation.notation.d2l import D2L
from tidegate.calculus.derivation.notation.nndl import NNDL
from tidegate.calculus.derivation.notation.tidegate import Tidegate

NOTATIONS = MappingProxyType({"tidegate": Tidegate, "nndl": NNDL, "d2l": D2L})

__all__ = ["NOTATIONS", "Notation", "index_of", "shifted"]
