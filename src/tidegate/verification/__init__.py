"""Proof by comparison: gradients of what really runs against oracles that share no code with it."""

from tidegate.verification.everything import verify_all
from tidegate.verification.outcome import Check, Comparison, Verification
from tidegate.verification.verify import verify

__all__ = ["Check", "Comparison", "Verification", "verify", "verify_all"]
