"""The reference engine: NumPy in float64, written to be read and not to be fast. The tests compare with it.

`bptt` runs forward through time and back; `rtrl` finds the same gradients in one forward pass. Both share with the
other engines the traced step alone. Their gradients come from the chain rule on arrays, with the partial derivatives
of `functions.py`; they use neither the Adjoint nor the derivatives of `calculus/operations.py`.
"""

from tidegate.engines.reference.autograd import NAME, refuse, run

__all__ = ["NAME", "refuse", "run"]
