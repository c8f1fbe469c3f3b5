"""The only dispatch: which engine runs a call, and why the others do not."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch

from tidegate.engines import cpu, eager, reference
from tidegate.engines import torch as fused
from tidegate.engines.call import Call, Result
from tidegate.engines.precision import ARITHMETIC
from tidegate.engines.stack import Stack, StackResult
from tidegate.errors import EngineError, SlowEngineWarning
from tidegate.notebook import output, paragraph, table


class Engine(Protocol):
    """A module with a name, a predicate, and one function over a whole sequence."""

    @property
    def NAME(self) -> str: ...

    def refuse(self, call: Call) -> str | None:
        """Why this engine cannot run the call, as the end of a sentence; None if it can."""
        ...

    def run(self, call: Call) -> Result:
        """The whole sequence; differentiable by torch."""
        ...


EVERY: tuple[Engine, ...] = (cpu, fused, eager, reference)
ENGINES = {engine.NAME: engine for engine in EVERY}
NAMES = ("auto", *ENGINES)

#: The engines that run all layers and directions in one call, with their function for it.
STACKED = MappingProxyType[str, Callable[[Stack], StackResult]]({fused.NAME: fused.run_stack})


def automatic(call: Call) -> tuple[Engine, ...]:
    """The engines that "auto" tries, in this order. In half, and in bfloat16 where `cpu` has no products of bfloat16
    numbers, torch's functions come first, because they compute in those types where the processor can, and `cpu`
    computes in float32. The reference engine is for checks, so it runs only when it is named."""
    storage = call.weights.w_hh.dtype
    rounded = ARITHMETIC.get(storage) is not storage
    if rounded and (storage is not torch.bfloat16 or cpu.refuse(call) or cpu.products_refuse(call)):
        return fused, cpu, eager
    return cpu, fused, eager


@dataclass(frozen=True)
class Verdict:
    """Whether one engine can run a call: `refusal` is None if it can; `chosen` marks the engine that runs it."""

    engine: str
    refusal: str | None
    chosen: bool

    def __str__(self) -> str:
        return f"{'*' if self.chosen else ' '} {self.engine:<10} {self.refusal or 'can run this'}"


class Verdicts(tuple[Verdict, ...]):
    """The verdicts of all engines. Printed: `summary`, then one verdict a line; a star marks the engine that runs."""

    summary: str

    def __new__(cls, verdicts: tuple[Verdict, ...], summary: str) -> "Verdicts":
        made = super().__new__(cls, verdicts)
        made.summary = summary
        return made

    def __reduce__(self) -> tuple:
        return Verdicts, (tuple(self), self.summary)

    def __repr__(self) -> str:
        return "\n".join([self.summary, *map(str, self)])

    def _repr_html_(self) -> str:
        rows = (("runs it" if v.chosen else "", v.engine, v.refusal or "can run this") for v in self)
        return output(paragraph(self.summary), table(("", "engine", "reason"), rows))


def why(call: Call, engine: str = "auto") -> Verdicts:
    """Which engine runs the call where `engine` is set, and why each of the others cannot."""
    refusals = {name: able.refuse(call) for name, able in ENGINES.items()}
    candidates = [able.NAME for able in (automatic(call) if engine == "auto" else (find(engine),))]
    chosen = next((name for name in candidates if refusals[name] is None), None)
    verdicts = tuple(Verdict(name, refusal, name == chosen) for name, refusal in refusals.items())
    return Verdicts(verdicts, refused(call, engine) if chosen is None else running(call, chosen, refusals))


def running(call: Call, engine: str, refusals: dict[str, str | None]) -> str:
    """How `engine` runs the call, on which device, and whether that is slow."""
    device = call.x.device
    if engine == fused.NAME:
        return f"torch, torch's fused functions{library(call)}, on {device}"
    if engine == eager.NAME:
        slow = f": slow; {hindrance(refusals[cpu.NAME], refusals[fused.NAME], device)}" * (call.T > 1)
        return f"eager, a Python loop over T = {call.T} steps on {device}{slow}"
    if engine == reference.NAME:
        return "reference, NumPy in float64 on the CPU: slow; it is an oracle for checks"
    refusal = cpu.products_refuse(call)
    if refusal is None:
        return f"{engine}, compiled kernels with bfloat16 products, on {device}"
    requested = call.precision != "highest" or call.weights.w_hh.dtype is torch.bfloat16
    return f"{engine}, compiled kernels, on {device}" + f"; products in float32, because {refusal}" * requested


def library(call: Call) -> str:
    """cuDNN or MIOpen, in brackets, if torch's fused functions use it for the weights of the call; else empty."""
    cudnn = torch.backends.cudnn
    if call.weights.w_hh.is_cuda and cudnn.is_available() and cudnn.is_acceptable(call.weights.w_hh):
        return " (MIOpen)" if torch.version.hip else " (cuDNN)"
    return ""


def hindrance(cpu_refusal: str | None, fused_refusal: str | None, device: torch.device) -> str:
    """Why no faster engine runs the call: on a CPU the reason of `cpu`, elsewhere that of `torch`."""
    name, refusal = (cpu.NAME, cpu_refusal) if device.type == "cpu" else (fused.NAME, fused_refusal)
    return f"{name} cannot: {refusal}" if refusal else f"{name} is faster"


def select(call: Call, engine: str = "auto") -> Engine:
    """The named engine, or for "auto" the first that can run the call.

    A named engine is never replaced by another: EngineError says why it cannot run the call and which engines can.
    """
    for able in automatic(call) if engine == "auto" else (find(engine),):
        if able.refuse(call) is None:
            if engine == "auto" and able is eager:
                warn_if_slow(call)
            return able
    raise EngineError(refused(call, engine))


def dispatch(call: Call, engine: str = "auto") -> Result:
    """The call on the engine that `select` finds."""
    return select(call, engine).run(call)


def refused(call: Call, engine: str) -> str:
    """The message of EngineError: why the named engine, or every engine, cannot run the call, and which can."""
    if engine == "auto":
        reasons = "; ".join(f"{able.NAME}: {able.refuse(call)}" for able in automatic(call))
        return f"no engine can run this {call.step.name}: {reasons}."
    able = ", ".join(name for name, other in ENGINES.items() if other.refuse(call) is None) or "none"
    return f'engine "{engine}" cannot run this {call.step.name}: {find(engine).refuse(call)}. Engines that can: {able}.'


def warn_if_slow(call: Call) -> None:
    """Warn of a Python loop on a GPU; Python's default filter prints each reason once in a process."""
    device = call.x.device.type
    if call.T > 1 and device not in ("cpu", "meta"):
        warnings.warn(
            f"{call.step.name} runs in the eager engine on {device}, a Python loop over its steps, which is slow: the "
            f"torch engine cannot run it, because {fused.refuse(call)}. tidegate.why(layer, x) lists every engine.",
            SlowEngineWarning,
            stacklevel=1,
        )


def find(engine: str) -> Engine:
    """The engine of that name; EngineError lists the valid names."""
    if engine not in ENGINES:
        raise EngineError(f"`engine` must be one of {', '.join(NAMES)}, got {engine!r}.")
    return ENGINES[engine]
