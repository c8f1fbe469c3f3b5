"""The kernels of a clipped update of parameters: their names and arguments; imports no module that generates kernels.

A tensor is a row of ROW 64-bit words in `tensors`; it is contiguous. L numbers fill a vector register.
"""

from collections.abc import Mapping

#: The names of the kernels: the global norm of gradients, and updates of torch.optim.SGD and AdamW.
NORM, SGD, ADAMW = "gradient_norm", "sgd", "adamw"

#: Words of a tensor: addresses, the number of its elements, and the index of its first block in `sums`.
ROW = ("parameter", "gradient", "average", "average_square", "step", "factors", "size", "block")
#: Elements of a gradient that are summed at once.
BLOCK = 4096

#: Factors of an update, numbers at the address `factors` of a tensor. The gradient is multiplied by `scale` first.
SGD_FACTORS = ("scale", "rate", "decay")
ADAMW_FACTORS = ("scale", "keep", "gain", "keep_square", "gain_square", "rate", "correction", "epsilon")

ARGUMENTS: Mapping[str, str] = {
    "count": "number of tensors",
    "tensors": "(count, ROW) 64-bit words",
    "B": "0", "H": "0",
    "row_teams": "1",
    "barriers": "(2, 16) 64-bit counters that start at 0",
    "sums": "for the norm: memory for the sum of squares of every block, then zeros up to whole vectors",
    "blocks": "number of blocks",
    "norm": "for the norm: the result, one number",
    "clipped": "1 to store the scaled gradients",
}  # fmt: skip
