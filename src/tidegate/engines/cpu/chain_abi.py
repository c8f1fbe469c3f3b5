"""The chain, which runs kernels one after the other, and the small kernels between those of a training step: their
names and arguments; imports no module that generates kernels."""

from collections.abc import Mapping

#: The chain; then kernels that check class indices, set memory to zero, multiply matrices element by element, and
#: transpose a matrix.
CHAIN, CHECK, ZERO, MULTIPLY, TRANSPOSE = "chain", "check_indices", "zero", "multiply", "transpose_matrix"

#: The first words of the chain's argument: the number of kernels, the maximum number of threads, the address of
#: GOMP_parallel, a number that is not 0 if a check has failed (the kernels after it do not run), and the address and
#: number of the 64-bit words that become 0 before each kernel of several threads: the barriers, which all of them use.
HEAD = ("count", "threads", "parallel", "failed", "barriers", "barrier_words")
#: Words of a kernel: the addresses of its function and of its argument, and threads at most.
NODE = ("function", "argument", "team")

#: Arguments that every kernel with a share for each thread reads.
_SHARED: Mapping[str, str] = {
    "B": "0",
    "H": "0",
    "row_teams": "1",
    "barriers": "null: the threads do not wait for each other",
}
ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    CHECK: {
        "index": "(count,) int64 numbers",
        "count": "how many they are",
        "classes": "V: class indices are 0..V-1",
        "ignored": "another number that is allowed",
        "failed": "the address of the word in HEAD, which becomes 1 if a number is neither",
    },
    ZERO: _SHARED | {"at": "(count,) numbers", "count": "how many they are"},
    MULTIPLY: _SHARED
    | {
        "rows": "rows",
        "columns": "columns",
        "left": "(rows, columns) with the strides left_row, 1",
        "left_row": "stride of left from row to row, in numbers",
        "right": "(rows, columns)",
        "out": "the products, (rows, columns) with the strides out_row, 1; it may be the memory of `left`",
        "out_row": "stride of out from row to row, in numbers",
    },
    TRANSPOSE: _SHARED
    | {"rows": "rows", "columns": "columns", "source": "(rows, columns)", "out": "(columns, rows), the transpose"},
}
