"""The names of the kernels of `tidegate.stream` and of their arguments; imports no module that generates kernels."""

from collections.abc import Mapping

from tidegate.engines.cpu.abi import forward_arguments
from tidegate.engines.plan import Forward

#: The names of the kernels: a step of a recurrent layer, a linear layer, several calls one after the other.
STEP, LINEAR, CHAIN = "stream_step", "stream_linear", "stream_chain"
#: What they call: the product, and reading the rows of weights that class indices select.
PRODUCT, GATHER = "stream_product", "stream_gather"
#: Vectors of a tile of packed weights at most: as many independent chains hide the latency of the multiply-adds.
WIDEST = 8

#: Of a step, besides those of the forward kernel.
STEP_ARGUMENTS: Mapping[str, str] = {
    "classes": "(B,) int64 class indices, 0 <= index < D; null where x holds numbers",
    "tiles_w": "input weights in the tiles of stream_product, U * Ga vectors",
    "scale_w": "(U, Ga, L) scales of input weights that are stored as integers",
    "scale_u": "as packed_c: scales of recurrent weights that are stored as integers",
    "aside": "(B, L + ceil(K / L) * L) left sides as integers, where weights are stored as int8; K is the largest",
    "turn": "1 to begin with the recurrent product and the last tiles, else 0; a step changes it for the next one",
    "sums": "(B, U, gates of a stage, L) results of a product",
}
#: Of a linear layer; `columns` is C = ceil(outputs / L).
LINEAR_ARGUMENTS: Mapping[str, str] = {
    "x": "(B, D) with the strides x_b, 1",
    "x_b": "stride of x from sequence to sequence, in numbers",
    "B": "number of sequences",
    "D": "number of inputs",
    "columns": "C, vectors of outputs",
    "packed_w": "weights in the tiles of stream_product, C vectors",
    "scale": "(C, L) scales of weights that are stored as integers",
    "packed_b": "(C, L) biases",
    "aside": "(B, L + ceil(K / L) * L) left sides as integers, where weights are stored as int8; K is D",
    "out": "(B, C, L) outputs",
}


def step_arguments(plan: Forward) -> list[str]:
    """The names of the arguments of a step, in order."""
    return [*forward_arguments(plan), *STEP_ARGUMENTS]
