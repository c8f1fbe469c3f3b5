"""Engines, which run a traced step over whole sequences, forward and backward."""

from tidegate.engines import operator, precision  # registers the operators of compiled programs
from tidegate.engines.call import Call, Result, Weights
from tidegate.engines.choose import Verdict, Verdicts, dispatch, why

__all__ = ["Call", "Result", "Verdict", "Verdicts", "Weights", "dispatch", "operator", "precision", "why"]
