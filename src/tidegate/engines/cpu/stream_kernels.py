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
def linear_kernel(target: Target, real: str) -> Kernel:
    """A linear layer; its library has the chain and the product too."""

    def program() -> str:
        from tidegate.engines.cpu import stream_kernel
        from tidegate.engines.cpu.vector import Code

        code = Code(target, real)
        stream_kernel.emit_shared(code)
        return str(code.module)

    made = runtime.object_code(key(target, real, "stream"), program, target)
    return function_of(runtime.Library(made, target, {}), LINEAR, list(LINEAR_ARGUMENTS), target.lanes(real))


def chain_kernel(target: Target, real: str) -> Kernel:
    """Several calls one after the other."""
    return linear_kernel(target, real).entry(CHAIN)


@Once
def step_kernel(step: Step, target: Target, real: str, *, on_matrix: bool) -> Kernel:
    """One step of a recurrent layer; with `on_matrix` it projects numbers on the matrix unit."""
    plan = forward_plan(step, save=False, ragged=False, traced=False)

    def program() -> str:
        from tidegate.engines.cpu import stream_kernel
        from tidegate.engines.cpu.vector import Code

        code = Code(target, real)
        stream_kernel.emit_step(code, plan, on_matrix=on_matrix)
        return str(code.module)

    made = runtime.object_code(key(target, real, f"stream on_matrix={on_matrix}", written(plan)), program, target)
    given = linear_kernel(target, real).library
    symbols = {name: given[name] for name in (symbol(real, PRODUCT), symbol(real, GATHER))}
    if on_matrix:
        symbols |= shared(target, real)[1] | team.symbols()
    return function_of(runtime.Library(made, target, symbols), STEP, step_arguments(plan), target.lanes(real))
