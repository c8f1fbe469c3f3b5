"""The processor that kernels are compiled for: its name, its features, and the width and number of its vector
registers."""

import ctypes
import platform
import sys
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Target:
    """A processor as LLVM names it, and the size of its vector unit.

    `vector_bytes` is the width of one register and `registers` their number; together they determine the register tile
    of the matrix product (see `tile_rows`). `matrix`: there is a matrix unit for bfloat16 numbers (Intel's AMX), and
    the system permits this process to use it. `pairs`: vector registers multiply pairs of bfloat16 numbers
    (AVX512-BF16).
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    matrix: bool = False
    pairs: bool = False

    def lanes(self, real: str) -> int:
        """Values of the type `real` ("float" or "double") in one register."""
        return self.vector_bytes // (4 if real == "float" else 8)

    def columns(self, rows: int) -> int:
        """The widest register tile, in vectors, for a tile of `rows` rows; 0 if it has more rows than a tile may have.

        A tile of R x C accumulators also needs C registers for the weights (fewer when they fold into the
        multiply-add) and one for the broadcast value. Tall tiles read the weights less often; wide ones give small
        batches enough independent chains to hide the latency of the multiply-add.
        """
        widest = WIDEST[self.registers]
        return widest[rows - 1] if rows <= len(widest) else 0

    @property
    def tile_rows(self) -> int:
        """Rows of the tallest register tile."""
        return len(WIDEST[self.registers])


#: Widest tile for 1, 2, 3 ... rows, by the number of vector registers.
WIDEST = {32: (8, 6, 4, 4, 3, 3, 3, 3), 16: (8, 4, 3, 3, 2, 2)}

AVX2 = Target("x86_64-unknown-linux-gnu", "haswell", "+avx2,+fma", 32, 16)
AVX512 = Target("x86_64-unknown-linux-gnu", "skylake-avx512", "+avx512f,+avx512dq,+avx512vl,+avx512bw,+fma", 64, 32)
BF16 = Target(AVX512.triple, "cooperlake", f"{AVX512.features},+avx512bf16", 64, 32, pairs=True)
AMX = Target(AVX512.triple, "sapphirerapids", f"{BF16.features},+amx-tile,+amx-bf16", 64, 32, matrix=True, pairs=True)
NEON = Target("aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32)


@cache
def host() -> Target | None:
    """This machine, or None when the kernels do not support its vector unit."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    flat, cpu, triple = features.flatten(), llvm.get_host_cpu_name(), llvm.get_process_triple()
    if sys.platform == "win32":
        triple += "-elf"  # the format that LLVM's MCJIT can link on Windows
    if platform.machine().lower() in ("aarch64", "arm64"):
        return Target(triple, cpu, flat, 16, 32)
    if all(features.get(name) for name in ("avx512f", "avx512dq", "avx512vl", "fma")):
        tiles = features.get("amx-tile") and features.get("amx-bf16")
        pairs = bool(features.get("avx512bf16"))
        return Target(triple, cpu, flat, 64, 32, matrix=bool(tiles) and _tiles_granted(), pairs=pairs)
    if all(features.get(name) for name in ("avx2", "fma")):
        return Target(triple, cpu, flat, 32, 16)
    return None


def _tiles_granted() -> bool:
    """Request permission to use the matrix unit, which Linux grants to a process once, before the first use."""
    if not sys.platform.startswith("linux"):
        return False
    request, permission, tile_data = 158, 0x1023, 18  # arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return ctypes.CDLL(None).syscall(request, permission, tile_data) == 0
