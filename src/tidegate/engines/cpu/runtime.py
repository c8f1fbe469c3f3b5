"""From the text of an LLVM module to functions that can be called: compile, or read from the cache, then link."""

from collections.abc import Callable, Mapping
from functools import cache as once
from threading import Lock

import llvmlite.binding as llvm

from tidegate.engines.cpu import cache
from tidegate.engines.cpu.garbage import uncollected
from tidegate.engines.cpu.target import Target, host
from tidegate.forks import held_while_forking

_linking = held_while_forking(Lock())


@once
def _initialize(target: Target) -> None:
    if target == host():
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()


def machine(target: Target) -> llvm.TargetMachine:
    _initialize(target)
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small"
    )


def optimize(text: str, target: Target) -> tuple[llvm.ModuleRef, llvm.TargetMachine]:
    """The module after the few LLVM passes that it needs and that the code generator does not run.

    Variables are moved into registers and loops test at their end. Programs are generated with their loops unrolled and
    without common subexpressions, so the standard pipeline makes them no faster; it takes as long as the code
    generator, and some of its transformations use more registers in the tiles.
    """
    made = machine(target)
    module = llvm.parse_assembly(text)
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_loop_rotate_pass()
    passes.run(module, llvm.create_pass_builder(made, llvm.create_pipeline_tuning_options()))
    return module, made


def assembly(text: str, target: Target) -> str:
    """The assembly of a module for any target, to be inspected."""
    module, made = optimize(text, target)
    return made.emit_assembly(module)


def object_code(name: str, program: Callable[[], str], target: Target) -> bytes:
    """The object code in the cache under `name`; if there is none, that of the module whose text `program` returns."""
    code = cache.read(name)
    if code is None:
        with uncollected():
            text = program()
        module, made = optimize(text, target)
        code = made.emit_object(module)
        cache.write(name, code)
    return code


class Library:
    """Linked object code: `library["name"]` is the address of its function `name`.

    `symbols` are the addresses of the functions that the code calls and does not contain.
    """

    def __init__(self, code: bytes, target: Target, symbols: Mapping[str, int]):
        with _linking:
            for name, address in symbols.items():
                llvm.add_symbol(name, address)
            empty = llvm.parse_assembly(f'target triple = "{target.triple}"')
            self._engine = llvm.create_mcjit_compiler(empty, machine(target))
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            self._engine.finalize_object()

    def __getitem__(self, name: str) -> int:
        address = self._engine.get_function_address(name)
        if not address:
            raise KeyError(f"the linked object code has no function {name!r}")
        return address
