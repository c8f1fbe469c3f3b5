"""The kernels of a linear layer with cross-entropy: their names and arguments; imports no module that generates
kernels.

Letters: B rows, H features, V classes. L numbers fill a vector register; P = ceil(V / L) * L and Q = ceil(H / L) * L.
"""

from collections.abc import Mapping

#: The names of the kernels: the losses of all rows with what the gradients need, and the gradients.
LOSS, GRADIENTS = "linear_loss", "linear_loss_gradients"

#: Arguments of both kernels.
COMMON: Mapping[str, str] = {
    "B": "number of rows",
    "H": "number of features",
    "V": "number of classes",
    "row_teams": "1: the threads of a pass divide rows or columns in other ways (see the kernels)",
    "barriers": "(2, 16) 64-bit counters that start at 0",
    "x": "(B, H) with the strides x_b, 1",
    "x_b": "stride of x from row to row, in numbers",
    "w": "(V, H) weights",
    "d": "(B, P) gradients of the losses with respect to the scores, zero beyond V and in rows that are ignored; where "
    "they are not kept, scratch memory for the scores of `rows` rows for each thread",
}
LOSS_ARGUMENTS: Mapping[str, str] = COMMON | {
    "keep": "1 to keep d, else 0",
    "rows": "rows whose scores are computed together",
    "b": "(V,) biases, or zeros",
    "target": "(B,) int64 class indices; any other number than `ignored` and 0..V-1 is counted as wrong",
    "ignored": "the target of rows without a loss; it may be a class",
    "packed_w": "(P / L, H, L) weights",
    "packed_b": "(P / L, L) biases, -infinity beyond V",
    "losses": "(B,) losses; 0 in rows that are ignored",
    "total": "(L,) the sum of the losses, in every place",
    "counted": "(threads, 16) 64-bit words: of each thread the rows with a loss, then those with a wrong target",
    "found": "(2,) 64-bit words: the numbers of all rows with a loss and of those with a wrong target",
    "mean": "one number: the sum of the losses / n, n the number of rows with a loss; NaN if there are none",
    "share": "one number: 1 / n; 1 if there are none",
}
GRADIENT_ARGUMENTS: Mapping[str, str] = COMMON | {
    "scale": "one number, by which all gradients are multiplied",
    "rows": "rows over which a gradient of the weights is summed at once",
    "packed_w": "(Q / L, V, L) weights times scale",
    "right": "(Q / L, rows, L) features, packed",
    "d_x": "(B, Q) gradients with respect to x; null if not needed",
    "d_w": "(V, H) gradients with respect to w; null if not needed",
    "sum_w": "(V, Q) where they are added up; d_w itself if Q = H",
    "d_b": "(V,) gradients with respect to the biases; null if not needed",
    "sum_b": "(P,) where they are added up",
}
