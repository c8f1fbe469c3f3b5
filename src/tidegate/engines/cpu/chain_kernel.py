"""The chain, and the small kernels between those of a training step (`chain_abi`)."""

import llvmlite.ir as ir

from tidegate.engines.cpu import tile
from tidegate.engines.cpu.chain_abi import ARGUMENTS, CHAIN, CHECK, HEAD, MULTIPLY, NODE, TRANSPOSE, ZERO
from tidegate.engines.cpu.kernel import Arguments, ElementWise, Share, StackSlot, null
from tidegate.engines.cpu.vector import ADDRESS, I32, I64, VOID, Code, Int, Ptr, Value


def emit(code: Code) -> None:
    """Write the chain and the kernels."""
    emit_chain(code)
    emit_check(code)
    emit_zero(code)
    emit_multiply(code)
    emit_transpose(code)


def emit_chain(code: Code) -> None:
    alone = ir.PointerType(ir.FunctionType(VOID, [ADDRESS]))
    parallel = ir.PointerType(ir.FunctionType(VOID, [ADDRESS, ADDRESS, I32, I32]))
    with code.function(CHAIN, "p", public=True) as (at,):
        head, b = Arguments(code, HEAD, at), code.b
        with code.loop(0, head["count"]) as i, code.when(head["failed"].equals(0)):
            node = Arguments(code, NODE, at.words(i * len(NODE) + len(HEAD)))
            function, argument = node["function"].v, node.pointer("argument").v
            threads = node["team"].least(head["threads"])
            with code.either(threads > 1) as (several, one):
                with several:
                    with code.loop(0, head["barrier_words"]) as k:
                        b.store(ir.Constant(I64, 0), head.pointer("barriers").words(k).v, align=8)
                    start, count = b.inttoptr(head["parallel"].v, parallel), b.trunc(threads.v, I32)
                    b.call(start, [b.inttoptr(function, ADDRESS), argument, count, ir.Constant(I32, 0)])
                with one:
                    b.call(b.inttoptr(function, alone), [argument])


def emit_check(code: Code) -> None:
    with code.function(CHECK, "p", public=True) as (at,):
        args = Arguments(code, list(ARGUMENTS[CHECK]), at)
        index, classes, ignored, wrong = args.pointer("index"), args["classes"], args["ignored"], StackSlot(code, 0)
        with code.loop(0, args["count"]) as i:
            found, b = index.integer(i), code.b
            allowed = b.or_(b.icmp_unsigned("<", found.v, classes.v), found.equals(ignored))
            wrong.set(code.select(allowed, wrong.get(), code.int(1)))
        with code.when(wrong.get() > 0):
            code.b.store(ir.Constant(I64, 1), args.pointer("failed").v, align=8)


def shared(code: Code, name: str, at: Ptr) -> tuple[Arguments, Share]:
    args = Arguments(code, list(ARGUMENTS[name]), at)
    return args, Share(code, args)


def emit_zero(code: Code) -> None:
    with code.function(ZERO, "p", public=True) as (at,):
        args, share = shared(code, ZERO, at)
        count, to = args["count"], args.pointer("at")
        bounds = share.slice_of((count + (code.lanes - 1)) // code.lanes)
        ElementWise(code).units(count, bounds, lambda g, mask: to.store(code.vec(0.0), g * code.lanes, mask))


def emit_multiply(code: Code) -> None:
    with code.function(MULTIPLY, "p", public=True) as (at,):
        args, share = shared(code, MULTIPLY, at)
        columns, L = args["columns"], code.lanes
        with code.loop(*share.slice_of(args["rows"])) as r:
            left, right = args.pointer("left") + r * args["left_row"], args.pointer("right") + r * columns
            out = args.pointer("out") + r * args["out_row"]

            def body(g: Int, mask: Value | None) -> None:
                out.store(left.load(g * L, mask) * right.load(g * L, mask), g * L, mask)

            ElementWise(code).units(columns, (code.int(0), (columns + (L - 1)) // L), body)


def emit_transpose(code: Code) -> None:
    """In squares of a vector's lanes; each thread writes some rows of the result."""
    with code.function(TRANSPOSE, "p", public=True) as (at,):
        args, share = shared(code, TRANSPOSE, at)
        rows, columns, L, square = args["rows"], args["columns"], code.lanes, code.stack(code.lanes)
        c0, c1 = share.slice_of((columns + (L - 1)) // L)
        with code.loop(c0 * L, c1 * L, L) as c, code.loop(0, rows, L) as r:
            source, out = args.pointer("source") + (r * columns + c), args.pointer("out") + (c * rows + r)
            width, height, whole = (columns - c).least(L), (rows - r).least(L), code.int(L)
            code.call(
                tile.symbol(code, "pack_transposed"), source, columns, height, width, square, whole, whole, null(code),
                code.int(0),
            )  # fmt: skip
            with code.loop(0, width) as k:
                (out + rows * k).store((square + k * L).load(), 0, code.first_lanes(height))
