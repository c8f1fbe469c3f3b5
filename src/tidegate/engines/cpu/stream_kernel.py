"""The kernels of `tidegate.stream`: one step of a recurrent layer, a linear layer, and a chain of such calls.

The step of a layer has the element-wise phases of the forward kernel and its arguments (`abi`), with T = 1 and index
null, and STEP_ARGUMENTS. packed_u holds the tiles of `stream_product`, stage after stage, and packed_w is used on the
matrix unit only. seq of a state is (2, B, H), or (B, H) where its stride seq_t is 0; a step reads row 0 and writes row
1, which is then copied to row 0. Every other step reads the weights in the opposite order: it starts with those that
the step before it has left in the cache.

`linear` takes LINEAR_ARGUMENTS. `chain` takes (count, then function and argument of each call) and makes the calls.
"""

from llvmlite import ir

from tidegate.engines.cpu import stream_product, tile
from tidegate.engines.cpu.abi import Form, Products
from tidegate.engines.cpu.forward import Writer
from tidegate.engines.cpu.kernel import Arguments, Share, null
from tidegate.engines.cpu.stream_abi import CHAIN, GATHER, LINEAR, LINEAR_ARGUMENTS, PRODUCT, STEP, step_arguments
from tidegate.engines.cpu.stream_stored import Stored
from tidegate.engines.cpu.vector import ADDRESS, VOID, Code, Int, Value
from tidegate.engines.plan import Forward


def emit_step(code: Code, plan: Forward, stored: Stored, *, on_matrix: bool) -> None:
    """Write the step of a layer with this plan, and its phases; with `on_matrix` it projects numbers on the matrix
    unit, as the forward kernel of the layer does."""
    writer = Writer(code, plan, False, Products(of_chunks=Form.TERMS if on_matrix else Form.NUMBERS))
    writer.phases()
    step, L = plan.step, code.lanes
    with code.function(STEP, "p", public=True) as (at,):
        args = Arguments(code, step_arguments(plan), at)
        B, H = args["B"], args["H"]
        groups, zero, sums = (H + (L - 1)) // L, code.int(0), args.pointer("sums")
        turn, aside = args["turn"], args.pointer("aside")
        product, everything = stream_product.symbol(code, PRODUCT, stored), (zero, B, zero, groups)

        def project() -> None:
            """The projected inputs."""
            columns = groups * len(step.inputs)
            weights = args.pointer("tiles_w"), args.pointer("scale_w"), columns, args["D"]
            classes, bias, a = args.pointer("classes"), args.pointer("packed_b"), args.pointer("a")
            with code.either(classes.is_null) as (numbers, indices):
                with numbers:
                    if on_matrix:
                        writer.inputs.project_packed(args, Share(code, args), zero, code.int(1))
                        code.call(tile.symbol(code, "matrix_done"))
                    else:
                        x = args.pointer("x"), args["x_b"], B
                        code.call(product, *x, *weights, bias, a, columns * L, aside, turn)
                with indices:
                    added = code.select(args.pointer("b_ih").is_null, null(code), bias)
                    code.call(stream_product.symbol(code, GATHER, stored), classes, B, *weights, added, a, columns * L)

        with code.when(turn.equals(0)):
            project()
        if plan.lead is not None:
            code.call("lead", at, sums, zero, zero, *everything)
        offset = 0
        for k in range(len(plan.phases)):
            gates = len(step.stages[k].gates) if step.stages else 0
            if gates:
                columns, first = groups * gates, groups * (offset * L)
                weights = args.pointer("packed_u") + stored.size(code, H) * (groups * offset)
                code.call(
                    product, writer.left(args, k, zero), H, B, weights, args.pointer("scale_u") + first, columns, H,
                    args.pointer("packed_c") + first, sums, columns * L, aside, turn,
                )  # fmt: skip
            if k == 0:
                with code.when(turn > 0):
                    project()
            code.call(f"phase{k}", at, sums, zero, zero, *everything)
            offset += gates
        for s in step.state:
            copy_back(writer, args, s)
        code.b.store((1 - turn).v, at.words(args.index["turn"]).v, align=8)


def copy_back(writer: Writer, args: Arguments, state: str) -> None:
    """Copy row 1 of the sequence of a state to row 0, B * H numbers; nothing where it has one row."""
    distance, row = args[f"seq_t.{state}"], args.pointer(f"seq.{state}")

    def body(g: Int, mask: Value | None) -> None:
        row.store((row + distance).load(g * writer.code.lanes, mask), g * writer.code.lanes, mask)

    with writer.code.when(distance > 0):
        groups = (distance + (writer.code.lanes - 1)) // writer.code.lanes
        writer.element_wise.units(distance, (writer.code.int(0), groups), body)


def emit_shared(code: Code, stored: Stored) -> None:
    """Write the product, `linear` and `chain`."""
    stream_product.emit(code, stored)
    with code.function(LINEAR, "p", public=True) as (at,):
        args = Arguments(code, list(LINEAR_ARGUMENTS), at)
        weights = args.pointer("packed_w"), args.pointer("scale"), args["columns"], args["D"]
        aside, forwards = args.pointer("aside"), code.int(0)
        code.call(
            stream_product.symbol(code, PRODUCT, stored), args.pointer("x"), args["x_b"], args["B"], *weights,
            args.pointer("packed_b"), args.pointer("out"), args["columns"] * code.lanes, aside, forwards,
        )  # fmt: skip
    with code.function(CHAIN, "p", public=True) as (at,), code.loop(0, at.integer()) as i:
        function = code.b.inttoptr(at.integer(i * 2 + 1).v, ir.PointerType(ir.FunctionType(VOID, [ADDRESS])))
        code.b.call(function, [at.pointer(i * 2 + 2).v])
