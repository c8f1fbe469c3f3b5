"""The sizes of the samples, for a complete inspection and for a quick one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """scored: the tokens of each text whose predictions are scored.
    sequences, steps: the sample for gates, gradients and exponents: `sequences` passages of `steps` tokens.
    lag, anchors: the longest lag and the number of losses of the gradient against the lag.
    exponents, warmup: the arguments k and warmup of `lyapunov`.   jacobians, product: the number of step Jacobians and
    the length of the longest product.   context, targets: the arguments longest and targets of `memory_horizon`.
    positions, donors, candidates, controls, held, pairs: the arguments of `units`; candidates is `top`.
    passage: the number of tokens that the page shows; connected: the longest lag of their connectivity.
    """

    scored: int = 200_000
    sequences: int = 16
    steps: int = 500
    lag: int = 200
    anchors: int = 128
    exponents: int = 16
    warmup: int = 100
    jacobians: int = 4
    product: int = 128
    context: int = 256
    targets: int = 1024
    positions: int = 40_000
    donors: int = 1000
    candidates: int = 3
    controls: int = 20
    held: int = 6400
    pairs: int = 3
    passage: int = 600
    connected: int = 100


FULL = Effort()
QUICK = Effort(
    scored=8_000, sequences=8, steps=160, lag=100, anchors=24, exponents=4, warmup=50, jacobians=1, product=32,
    context=64, targets=256, positions=6_000, donors=200, candidates=1, controls=20, held=1600, pairs=0,
    passage=300, connected=40,
)  # fmt: skip
