"""Verification by comparison: the derived gradients, and those of every engine, against independent oracles."""

from tidegate.verification.everything import verify_all
from tidegate.verification.outcome import Check, Comparison, Verification
from tidegate.verification.student import Judgement, judge
from tidegate.verification.verify import verify

__all__ = ["Check", "Comparison", "Judgement", "Verification", "judge", "verify", "verify_all"]
