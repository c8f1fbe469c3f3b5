"""From equations to programs: the traced Step of a cell and its Adjoint, the BPTT step."""

from tidegate.calculus.adjoint import Adjoint, adjoint
from tidegate.calculus.expression import Expression, evaluate, infix
from tidegate.calculus.trace import Stage, Step, trace

__all__ = ["Adjoint", "Expression", "Stage", "Step", "adjoint", "evaluate", "infix", "trace"]
