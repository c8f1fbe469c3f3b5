"""From the text of an LLVM module to functions that can be called: compile or fetch from the cache, then link."""

from collections.abc import Mapping
from functools import cache as once
from threading import Lock

import llvmlite
import llvmlite.binding as llvm

import tidegate
from tidegate.engines.cpu import cache
from tidegate.engines.cpu.target import Target

_linking = Lock()


@once
def _initialize() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def machine(target: Target) -> llvm.TargetMachine:
    _initialize()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small"
    )


def optimize(text: str, target: Target) -> tuple[llvm.ModuleRef, llvm.TargetMachine]:
    """The module after LLVM's passes. Loops keep the shape they were written in: the tiles are unrolled by hand."""
    made = machine(target)
    module = llvm.parse_assembly(text)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    passes = llvm.create_pass_builder(made, options)
    passes.getModulePassManager().run(module, passes)
    return module, made


def assembly(text: str, target: Target) -> str:
    """The assembly of a module for any target, to look at."""
    module, made = optimize(text, target)
    return made.emit_assembly(module)


def object_code(text: str, target: Target) -> bytes:
    """The compiled module, from the cache when it holds it."""
    versions = f"{tidegate.__version__} {llvmlite.__version__} {llvm.llvm_version_info}"
    name = cache.key(text, repr(target), versions)
    code = cache.read(name)
    if code is None:
        module, made = optimize(text, target)
        code = made.emit_object(module)
        cache.write(name, code)
    return code


class Library:
    """A linked module: `library["name"]` is the address of its function `name`.

    `symbols` are the addresses of the functions that the module calls and does not contain.
    """

    def __init__(self, text: str, target: Target, symbols: Mapping[str, int]):
        code = object_code(text, target)
        with _linking:
            for name, address in symbols.items():
                llvm.add_symbol(name, address)
            empty = llvm.parse_assembly(f'target triple = "{target.triple}"')
            self._engine = llvm.create_mcjit_compiler(empty, machine(target))
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            self._engine.finalize_object()

    def __getitem__(self, name: str) -> int:
        return self._engine.get_function_address(name)
