"""Proof by comparison: gradients of what really runs against oracles that share no code with it."""

from tidegate.verification.outcome import Check, Comparison, Verification
from tidegate.verification.verify import verify, verify_all

__all__ = ["Check", "Comparison", "Verification", "verify", "verify_all"]
