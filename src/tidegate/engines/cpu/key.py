"""The key of a compiled kernel: a digest of everything it depends on, so that one on disk is found without generating
its program.

A kernel depends on the plan of its computation (what each phase loads, computes and stores, and where), on the number
type, on the processor and its features (including permission to use its matrix unit), on the source files that turn a
plan into a program, and on the versions of this package, llvmlite and LLVM. The key contains the plan rather than the
cell's equations, because the forward and the backward kernel must agree on where values are stored.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache as once
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

import tidegate
from tidegate import calculus, cells
from tidegate.calculus import Step
from tidegate.calculus.expression import Expression, subgraph
from tidegate.engines.cpu import cache
from tidegate.engines.cpu.target import Target
from tidegate.engines.plan import Backward, Forward, Phase


def key(target: Target, real: str, *program: str) -> str:
    """The name in the cache of the kernel that `program` describes."""
    return cache.key(sources(), versions(), repr(target), real, *program)


@once
def sources() -> str:
    """A digest of the source files of this folder, of the one above it, of the calculus and of the cells; where only
    bytecode is installed it covers none, and the version of the package alone identifies them."""
    here = Path(__file__).parent
    folders = (here, here.parent, Path(calculus.__file__).parent, Path(cells.__file__).parent)
    files = [file for folder in folders for file in folder.glob("*.py")]
    digest = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"{file.parent.name}/{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def versions() -> str:
    return f"{tidegate.__version__} {llvmlite.__version__} {llvm.llvm_version_info}"


def written(plan: Forward | Backward) -> str:
    """Everything in a plan as text: plans with the same text have the same kernel."""
    parts = {field.name: getattr(plan, field.name) for field in fields(plan)}
    step, phases = parts.pop("step"), [*parts.pop("phases")]
    lead = parts.pop("lead", None)
    phases += [lead] if lead else []
    number = numbers(step, phases)
    lines = [f"{type(plan).__name__} {parts} {lead is not None}", *layout(step, number)]
    for phase in phases:
        loads = [f"{number[e]}:{place.buffer}{place.block}" for e, place in phase.load.items()]
        stores = [f"{place.buffer}{place.block}:{number[e]}" for place, e in phase.store]
        lines.append(f"load {loads} store {stores}")
    return "\n".join([*lines, *operations(number)])


def numbers(step: Step, phases: Sequence[Phase]) -> Mapping[Expression, int]:
    """A number for every expression of the step and the phases, arguments before the expressions that use them."""
    named = [stage.operand for stage in step.stages]
    named += [e for table in (step.a, step.q, step.old, step.v, step.gate, step.new) for e in table.values()]
    mentioned = [e for phase in phases for e in (*phase.load, *(e for _, e in phase.store))]
    return {e: i for i, e in enumerate(subgraph([*named, *mentioned]))}


def layout(step: Step, number: Mapping[Expression, int]) -> Iterator[str]:
    """The stages of a step, and its leaves and values by name."""
    yield f"inputs {step.inputs} products {step.products}"
    yield from (f"stage {number[stage.operand]} {stage.gates}" for stage in step.stages)
    for kind in ("a", "q", "old", "v", "gate", "new"):
        yield f"{kind} { {name: number[e] for name, e in getattr(step, kind).items()} }"


def operations(number: Mapping[Expression, int]) -> Iterator[str]:
    """One line for every expression; constants with all their digits."""
    for e, i in number.items():
        value = "" if e.value is None else e.value.hex()
        yield f"{i} {e.op} {[number[arg] for arg in e.args]} {e.kind or ''} {e.name or ''}{value}"
