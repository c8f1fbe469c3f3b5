"""Vector functions against float64 (or 40 digits), densely over the whole range."""

import ctypes

import mpmath
import numpy as np
import pytest

from tidegate.engines.cpu import functions, runtime, target
from tidegate.engines.cpu.vector import Code

REAL = {"float": np.float32, "double": np.float64}
EXACT = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sigmoid": lambda x: np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))),
    "tanh": np.tanh,
}
ULPS = {"exp": 2, "log": 4, "log1p": 4, "sigmoid": 4, "tanh": 4}


def targets() -> list[target.Target]:
    host = target.host()
    if host is None or not host.triple.startswith("x86"):
        return [host] if host else []
    narrow = target.Target(host.triple, target.AVX2.cpu, target.AVX2.features, 32, 16)
    return [host, narrow] if host.vector_bytes == 64 else [host]


def apply(name: str, x: np.ndarray, where: target.Target) -> np.ndarray:
    """One of the table's functions on an array of a multiple of 64 numbers."""
    real = {np.dtype(v): k for k, v in REAL.items()}[x.dtype]
    code = Code(where, real)
    with code.function("apply", "ppi", public=True) as (source, to, n), code.loop(0, n, code.lanes) as i:
        to.store(functions.table(code)[name](source.load(i)), i)
    module, made = runtime.optimize(str(code.module), where)
    library = runtime.Library(made.emit_object(module), where, {})
    y = np.full_like(x, np.nan)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(library["apply"])
    function(x.ctypes.data, y.ctypes.data, len(x))
    return y


def ulps(got: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in units in the last place of the float that the exact value rounds to."""
    finite = np.isfinite(exact.astype(got.dtype))
    assert np.array_equal(got[~finite], exact.astype(got.dtype)[~finite])
    return float(np.max(np.abs(got[finite] - exact[finite]) / np.spacing(np.abs(exact[finite]).astype(got.dtype))))


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:underflow:RuntimeWarning")
@pytest.mark.parametrize("where", targets(), ids=lambda t: f"{t.vector_bytes * 8} bits")
@pytest.mark.parametrize("name", EXACT)
def test_floats_over_the_whole_range(name, where):
    # Every 997th float of either sign, denormal numbers included.
    bits = np.arange(0, 0x7F800000, 997, dtype=np.uint32)
    positive = bits[: len(bits) // 64 * 64].view(np.float32)
    for x in (positive, -positive):
        if name == "log":
            x = np.abs(x[x != 0][: len(x) // 64 * 64 - 64])
        elif name == "log1p":
            x = x[x > -1]
            x = x[: len(x) // 64 * 64]
        exact = EXACT[name](x.astype(np.float64))
        assert ulps(apply(name, x, where), exact) <= ULPS[name]


@pytest.mark.parametrize("where", targets(), ids=lambda t: f"{t.vector_bytes * 8} bits")
@pytest.mark.parametrize("name", EXACT)
def test_double_precision_agrees_with_forty_digits(name, where):
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(size=256) * 10.0**k for k in (-9, -3, -1, 0, 1)])
    x = np.abs(x) if name == "log" else x[x > -1][: len(x[x > -1]) // 64 * 64] if name == "log1p" else x
    with mpmath.workdps(40):
        one = {"sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)), "log1p": lambda v: mpmath.log(1 + v)}
        f = one.get(name) or getattr(mpmath, name)
        exact = [f(mpmath.mpf(float(v))) for v in x]
        worst = max(abs((mpmath.mpf(float(g)) - e) / e) for g, e in zip(apply(name, x, where), exact))
    assert worst <= 4 * 2.0**-52


@pytest.mark.parametrize("real", REAL.values())
@pytest.mark.parametrize("where", targets(), ids=lambda t: f"{t.vector_bytes * 8} bits")
def test_limits_and_nan(where, real):
    x = np.zeros(64, real)
    x[:6] = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30]
    expected = {
        "exp": [np.inf, 0, np.nan, 1, 1, np.inf],
        "sigmoid": [1, 0, np.nan, 0.5, 0.5, 1],
        "tanh": [1, -1, np.nan, 0, 0, 1],
        "log": [np.inf, np.nan, np.nan, -np.inf, -np.inf, np.log(1e30)],
        "log1p": [np.inf, np.nan, np.nan, 0, 0, np.log1p(1e30)],
        "relu": [np.inf, 0, np.nan, 0, 0, 1e30],
        "step": [1, 0, 1, 0, 0, 1],
        "sign": [1, -1, np.nan, 0, 0, 1],
        "abs": [np.inf, np.inf, np.nan, 0, 0, 1e30],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(apply(name, x, where)[:6], np.array(values, real), rtol=1e-6, err_msg=name)
    assert np.signbit(apply("tanh", x, where)[4])
