"""From programs to numbers: engines that run a traced step over whole sequences, forward and backward."""

from tidegate.engines.call import Call, Result, Weights
from tidegate.engines.choose import Verdict, Verdicts, run, why

__all__ = ["Call", "Result", "Verdict", "Verdicts", "Weights", "run", "why"]
