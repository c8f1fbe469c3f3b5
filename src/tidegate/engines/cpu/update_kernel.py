"""The kernels of a clipped update: one pass over the gradients for their global norm, one for the update.

    norm   sqrt of the sum of g^2 over all gradients
    sgd    g <- scale g,  p <- p - rate (g + decay p)
    adamw  g <- scale g,  p <- keep p,  m <- m + gain (g - m),  v <- keep_square v + gain_square g^2
           p <- p - rate m / (sqrt(v) correction + epsilon),  step <- step + 1

keep is 1 - lr * weight decay, gain 1 - beta1, rate lr / (1 - beta1^step) and correction 1 / sqrt(1 - beta2^step), as in
torch's fused updates. The threads divide every tensor; the sums of squares are those of fixed blocks, so the bits of
the norm do not depend on the number of threads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import add

from tidegate.engines.cpu.kernel import Arguments, ElementWise, Share
from tidegate.engines.cpu.linear_loss_kernel import across
from tidegate.engines.cpu.update_abi import (
    ADAMW,
    ADAMW_FACTORS,
    ARGUMENTS,
    BLOCK,
    NORM,
    ROW,
    SGD,
    SGD_FACTORS,
)
from tidegate.engines.cpu.vector import Code, Int, Ptr, Value, Vec, fma


def emit(code: Code) -> None:
    """Write the kernels."""
    emit_norm(code)
    emit_sgd(code)
    emit_adamw(code)


@contextmanager
def kernel(code: Code, name: str) -> Iterator[tuple[Arguments, Share]]:
    """A kernel of that name; yields its arguments and the share of a thread."""
    with code.function(name, "p", public=True) as (at,):
        args = Arguments(code, list(ARGUMENTS), at)
        yield args, Share(code, args)


@contextmanager
def each_tensor(args: Arguments) -> Iterator[Arguments]:
    """A loop over the tensors; yields the words of one."""
    with args.code.loop(0, args["count"]) as i:
        yield Arguments(args.code, ROW, args.pointer("tensors").words(i * len(ROW)))


def emit_norm(code: Code) -> None:
    with kernel(code, NORM) as (args, share):
        with each_tensor(args) as tensor:
            size = tensor["size"]
            with code.loop(*share.slice_of((size + (BLOCK - 1)) // BLOCK)) as j:
                found = sum_of_squares(code, tensor.pointer("gradient") + j * BLOCK, (size - j * BLOCK).least(BLOCK))
                (args.pointer("sums") + (tensor["block"] + j)).store(found, 0, code.first_lanes(code.int(1)))
        share.wait_for_all()
        with code.when(share.me.equals(0)):
            with code.accumulate([code.vec(0.0)], 0, args["blocks"], code.lanes) as (i, (partial,), following):
                following[0] = partial + args.pointer("sums").load(i)
            norm = across(following[0], add).intrinsic("sqrt")
            args.pointer("norm").store(norm, 0, code.first_lanes(code.int(1)))


def sum_of_squares(code: Code, g: Ptr, count: Int) -> Vec:
    """The sum of the squares of some numbers, in every lane."""
    L = code.lanes
    whole = count // (4 * L) * (4 * L)
    with code.accumulate([code.vec(0.0)] * 4, 0, whole, 4 * L) as (i, partial, following):
        for k in range(4):
            x = g.load(i + k * L)
            following[k] = fma(x, x, partial[k])
    start = (following[0] + following[1]) + (following[2] + following[3])
    with code.accumulate([start], whole, count, L) as (i, (before,), following):
        x = g.load(i, code.first_lanes(count - i))
        following[0] = fma(x, x, before)
    return across(following[0], add)


def emit_sgd(code: Code) -> None:
    with kernel(code, SGD) as (args, share), each_tensor(args) as tensor:
        scale, rate, decay = factors(tensor, SGD_FACTORS)
        p = tensor.pointer("parameter")

        def update(at: Int, mask: Value | None) -> None:
            g = scaled(args, tensor, at, mask, scale)
            before = p.load(at, mask)
            p.store(fma(-rate, fma(decay, before, g), before), at, mask)

        for_vectors(code, share, tensor, update)


def emit_adamw(code: Code) -> None:
    with kernel(code, ADAMW) as (args, share), each_tensor(args) as tensor:
        scale, keep, gain, keep_square, gain_square, rate, correction, epsilon = factors(tensor, ADAMW_FACTORS)
        p, average, square = (tensor.pointer(name) for name in ("parameter", "average", "average_square"))

        def update(at: Int, mask: Value | None) -> None:
            g = scaled(args, tensor, at, mask, scale)
            m = average.load(at, mask)
            m = fma(gain, g - m, m)
            v = fma(gain_square * g, g, keep_square * square.load(at, mask))
            average.store(m, at, mask)
            square.store(v, at, mask)
            below = fma(v.intrinsic("sqrt"), correction, epsilon)
            p.store(keep * p.load(at, mask) - rate * m / below, at, mask)

        for_vectors(code, share, tensor, update)
        with code.when(share.me.equals(0)):
            tensor.pointer("step").add_number(code.ones())


def factors(tensor: Arguments, names: tuple[str, ...]) -> list[Vec]:
    at: Ptr = tensor.pointer("factors")
    return [at.splat(i) for i in range(len(names))]


def scaled(args: Arguments, tensor: Arguments, at: Int, mask: Value | None, scale: Vec) -> Vec:
    """The scaled gradient, stored where it is clipped."""
    g = tensor.pointer("gradient").load(at, mask) * scale
    with args.code.when(args["clipped"] > 0):
        tensor.pointer("gradient").store(g, at, mask)
    return g


def for_vectors(code: Code, share: Share, tensor: Arguments, update: Callable[[Int, Value | None], None]) -> None:
    """Call `update(first element, mask)` for the vectors of this thread."""
    size, L = tensor["size"], code.lanes
    bounds = share.slice_of((size + (L - 1)) // L)
    ElementWise(code).units(size, bounds, lambda g, mask: update(g * L, mask))
