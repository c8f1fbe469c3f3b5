"""The reference engine: NumPy, float64, one line after the other as the derivation has them. The oracle of every test.

It is written to be read, not to be fast, and it shares nothing with the other engines but the traced step.
`bptt` goes forward through time and back; `rtrl` finds the same gradients going forward only.
"""

from tidegate.engines.reference.autograd import NAME, refuse, run

__all__ = ["NAME", "refuse", "run"]
