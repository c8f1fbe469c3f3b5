"""The reference engine: NumPy in float64, written to be readable rather than fast. The tests compare with it.

`bptt` runs forward through time and back; `rtrl` computes the same gradients in one forward pass. They share only the
traced step with the other engines. Their gradients come from the chain rule on arrays, with the partial derivatives
of `functions.py`; they use neither the Adjoint nor the derivatives of `calculus/operations.py`.
"""

from tidegate.engines.reference.autograd import NAME, refuse, run

__all__ = ["NAME", "refuse", "run"]
