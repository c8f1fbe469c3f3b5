"""From equations to programs: the traced Step of a cell and its Adjoint, the BPTT step."""

from tidegate.calculus import serial
from tidegate.calculus.adjoint import Adjoint, adjoint
from tidegate.calculus.expression import Expression, evaluate, infix
from tidegate.calculus.step import Stage, Step
from tidegate.calculus.trace import trace

__all__ = ["Adjoint", "Expression", "Stage", "Step", "adjoint", "evaluate", "infix", "serial", "trace"]
