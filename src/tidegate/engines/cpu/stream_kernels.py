"""The compiled kernels of `tidegate.stream`, each compiled or loaded once in a process."""

from tidegate.calculus import Step
from tidegate.engines.cpu import runtime, team
from tidegate.engines.cpu.abi import symbol
from tidegate.engines.cpu.kernels import Kernel, Once, function_of, shared
from tidegate.engines.cpu.key import key, written
from tidegate.engines.cpu.stream_abi import CHAIN, GATHER, LINEAR, LINEAR_ARGUMENTS, PRODUCT, STEP, step_arguments
from tidegate.engines.cpu.target import Target
from tidegate.engines.plan import forward_plan


@Once
def linear_kernel(target: Target, real: str, stored: str) -> Kernel:
    """A linear layer with weights in the form `stored` (`stream_stored`); its library has the chain and the product."""

    def program() -> str:
        from tidegate.engines.cpu import stream_kernel
        from tidegate.engines.cpu.stream_stored import STORED
        from tidegate.engines.cpu.vector import Code

        code = Code(target, real)
        stream_kernel.emit_shared(code, STORED[stored])
        return str(code.module)

    made = runtime.object_code(key(target, real, f"stream {stored}"), program, target)
    return function_of(runtime.Library(made, target, {}), LINEAR, list(LINEAR_ARGUMENTS), target.lanes(real))


def chain_kernel(target: Target, real: str, stored: str) -> Kernel:
    """Several calls one after the other."""
    return linear_kernel(target, real, stored).entry(CHAIN)


@Once
def step_kernel(step: Step, target: Target, real: str, stored: str, *, on_matrix: bool) -> Kernel:
    """One step of a recurrent layer with weights in the form `stored`; with `on_matrix` it projects numbers on the
    matrix unit."""
    plan = forward_plan(step, save=False, ragged=False, traced=False)

    def program() -> str:
        from tidegate.engines.cpu import stream_kernel
        from tidegate.engines.cpu.stream_stored import STORED
        from tidegate.engines.cpu.vector import Code

        code = Code(target, real)
        stream_kernel.emit_step(code, plan, STORED[stored], on_matrix=on_matrix)
        return str(code.module)

    made = runtime.object_code(
        key(target, real, f"stream {stored} on_matrix={on_matrix}", written(plan)), program, target
    )
    given = linear_kernel(target, real, stored).library
    symbols = {name: given[name] for name in (symbol(real, f"{part}_{stored}") for part in (PRODUCT, GATHER))}
    if on_matrix:
        symbols |= shared(target, real)[1] | team.symbols()
    return function_of(runtime.Library(made, target, symbols), STEP, step_arguments(plan), target.lanes(real))
