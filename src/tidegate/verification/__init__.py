"""Proof by comparison: gradients of what really runs against oracles that share no code with it."""
