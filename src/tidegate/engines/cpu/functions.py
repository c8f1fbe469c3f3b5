"""exp, log, log1p, sigmoid and tanh on vectors, and the table through which `calculus.evaluate` emits a cell.

Each is a polynomial on a short interval; the coefficients below are Chebyshev interpolants (mpmath.chebyfit with 90
digits) of the functions named beside them, highest power first, and their truncation error lies below a tenth of a unit
in the last place. Measured against float64 over the whole float32 range: exp at most 1 ulp, sigmoid, tanh, log and
log1p at most 3 ulp. Infinities, NaN and results below the normal range are those of the exact functions.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import llvmlite.ir as ir

from tidegate.engines.cpu.vector import I32, Code, Vec, fma, from_bits


@dataclass(frozen=True)
class Constants:
    """Constants that depend on the number type."""

    exp: tuple[float, ...]  # (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2
    atanh: tuple[float, ...]  # (atanh(s) / s - 1) / s^2 in s^2 on 0 <= s <= 1/3
    ln2: tuple[float, float]  # ln 2 as a number of few bits plus a remainder, so that n * ln2[0] is exact
    low: float  # below it exp is 0
    high: float  # above it exp is infinite
    mantissa: int  # bits
    bias: int  # of the exponent
    tiny: float  # the smallest normal number


FLOAT = Constants(
    exp=(0.0013926183587713494, 0.008363179052722578, 0.041666554617204574, 0.16666576989698775, 0.5),
    atanh=(0.11612164612011674, 0.10853287900440187, 0.14296178997151418, 0.1999985316596486, 0.3333333366026371),
    ln2=(0.693115234375, 3.1946184945309415e-05),
    low=-105.0,
    high=90.0,
    mantissa=23,
    bias=127,
    tiny=2.0**-126,
)
DOUBLE = Constants(
    exp=(
        2.510038549551032e-08, 2.7620088445409746e-07, 2.7557268459997064e-06, 2.4801521295954376e-05,
        0.00019841269863053618, 0.0013888888917213717, 0.008333333333330062, 0.04166666666662413,
        0.16666666666666669, 0.5000000000000001,
    ),
    atanh=(
        0.07615631309714492, 0.03167055425885123, 0.04971012448277368, 0.05240199617182637, 0.05883998883620518,
        0.06666588474569089, 0.07692310126902081, 0.09090909043002827, 0.11111111111665993, 0.1428571428571097,
        0.20000000000000007, 0.3333333333333333,
    ),
    ln2=(0.6931471803691238, 1.9082149292705877e-10),
    low=-746.0,
    high=710.0,
    mantissa=52,
    bias=1023,
    tiny=2.0**-1022,
)  # fmt: skip
LOG2_E = 1.4426950408889634


def constants(code: Code) -> Constants:
    return FLOAT if code.real_name == "float" else DOUBLE


def polynomial(x: Vec, coefficients: tuple[float, ...]) -> Vec:
    """Horner's rule, highest power first."""
    value = x.code.vec(coefficients[0])
    for c in coefficients[1:]:
        value = fma(value, x, x.code.vec(c))
    return value


def _integer_bits(code: Code) -> tuple[float, int]:
    """A number so large that adding it rounds to an integer, and its bits: the integer is then the difference of
    bits."""
    return (1.5 * 2.0**23, 0x4B400000) if code.real_name == "float" else (1.5 * 2.0**52, 0x4338000000000000)


def _split(x: Vec) -> tuple[Vec, Vec, Vec]:
    """(n, n in the low bits of a large number, r) with x = n ln 2 + r, n an integer, |r| <= ln(2) / 2."""
    code = x.code
    c, (big, _) = constants(code), _integer_bits(code)
    shifted = fma(x, code.vec(LOG2_E), code.vec(big))
    n = shifted - big
    r = fma(n, code.vec(-c.ln2[1]), fma(n, code.vec(-c.ln2[0]), x))
    return n, shifted, r


def _times_power_of_two(value: Vec, n: Vec, shifted: Vec) -> Vec:
    """value * 2^n; below the normal range rounded once on AVX-512, twice elsewhere."""
    code = value.code
    if code.target.vector_bytes == 64:
        kind, mask = ("ps", ir.IntType(16)) if code.real_name == "float" else ("pd", ir.IntType(8))
        everywhere, as_set = ir.Constant(mask, -1), ir.Constant(I32, 4)
        name = f"llvm.x86.avx512.mask.scalef.{kind}.512"
        return Vec(code, code.intrinsic(name, code.vector, value.v, n.v, value.v, everywhere, as_set))
    c, b = constants(code), code.b
    whole = b.sub(shifted.as_bits(), code.bit_vector(_integer_bits(code)[1]))
    half = b.ashr(whole, code.bit_vector(1))
    for part in (half, b.sub(whole, half)):
        power = b.shl(b.add(part, code.bit_vector(c.bias)), code.bit_vector(c.mantissa))
        value = value * from_bits(code, power)
    return value


def _at_least_low(x: Vec) -> Vec:
    """x, but at least the number below which exp is 0; NaN stays NaN."""
    low = x.code.vec(constants(x.code).low)
    return x.code.select(x.is_("<", low), low, x)


def exp(x: Vec) -> Vec:
    high = x.code.vec(constants(x.code).high)
    return exp_of_negative(x.code.select(x.is_(">", high), high, x))


def exp_of_negative(x: Vec) -> Vec:
    """e^x for x up to just above the point where it overflows, without a check for larger x."""
    n, shifted, r = _split(_at_least_low(x))
    series = fma(r * r, polynomial(r, constants(x.code).exp), r) + 1.0
    return _times_power_of_two(series, n, shifted)


def expm1_of_negative(x: Vec) -> Vec:
    """e^x - 1 for x <= 0, exact in relative terms near 0."""
    code = x.code
    n, shifted, r = _split(_at_least_low(x))
    series = fma(r * r, polynomial(r, constants(code).exp), r)
    power = _times_power_of_two(code.vec(1.0), n, shifted)
    return fma(power, series, power - 1.0)


def reciprocal(x: Vec) -> Vec:
    """1 / x for 1 <= x <= 2: an estimate of 14 bits and one Newton step where the processor has one, else a
    division."""
    code = x.code
    if code.target.vector_bytes != 64 or code.real_name != "float":
        return 1.0 / x
    everywhere = ir.Constant(ir.IntType(16), -1)
    y = Vec(code, code.intrinsic("llvm.x86.avx512.rcp14.ps.512", code.vector, x.v, x.v, everywhere))
    return fma(y, fma(-x, y, code.vec(1.0)), y)


def magnitude(x: Vec) -> Vec:
    return x.intrinsic("fabs")


def sigmoid(x: Vec) -> Vec:
    """1 / (1 + e^-x), from e^-|x| so that nothing overflows and small results keep their digits."""
    e = exp_of_negative(-magnitude(x))
    d = reciprocal(e + 1.0)
    return x.code.select(x.is_("<", 0.0), e * d, d)


def tanh(x: Vec) -> Vec:
    """(1 - e) / (1 + e) with e = e^-2|x|, from e - 1 so that small results keep their digits; with the sign of x."""
    less = expm1_of_negative(magnitude(x) * -2.0)
    return (-less * reciprocal(less + 2.0)).intrinsic("copysign", x)


def _twice_atanh(s: Vec) -> Vec:
    z = s * s
    twice = s + s
    return fma(twice * z, polynomial(z, constants(s.code).atanh), twice)


def log(x: Vec) -> Vec:
    """Natural logarithm: x = 2^n m with m about 1, ln m = 2 atanh((m - 1) / (m + 1))."""
    code, c, b = x.code, constants(x.code), x.code.b
    small = x.is_("<", c.tiny)
    scaled = code.select(small, x * 2.0 ** (c.mantissa + 1), x)
    root_half = bits_of(code, 0.5**0.5)
    above = b.sub(scaled.as_bits(), code.bit_vector(root_half))
    n = b.ashr(above, code.bit_vector(c.mantissa))
    m = from_bits(code, b.sub(scaled.as_bits(), b.shl(n, code.bit_vector(c.mantissa))))
    power = Vec(code, b.sitofp(n, code.vector)) - code.select(small, code.vec(c.mantissa + 1), code.vec(0.0))
    series = _twice_atanh((m - 1.0) / (m + 1.0))
    value = fma(power, code.vec(c.ln2[0]), fma(power, code.vec(c.ln2[1]), series))
    value = code.select(x.is_("==", float("inf")), x, value)
    value = code.select(x.is_("==", 0.0), code.vec(float("-inf")), value)
    return code.select(x.is_(">=", 0.0), value, code.vec(float("nan")))


def bits_of(code: Code, value: float) -> int:
    """The bits of a number of the code's type, as an integer."""
    real, integer = ("<f", "<i") if code.real_name == "float" else ("<d", "<q")
    return struct.unpack(integer, struct.pack(real, value))[0]


def log1p(x: Vec) -> Vec:
    """ln(1 + x): 2 atanh(x / (2 + x)) near 0, where 1 + x would lose digits."""
    near = x.code.b.and_(x.is_(">", -0.5), x.is_("<=", 1.0))
    return x.code.select(near, _twice_atanh(x / (x + 2.0)), log(x + 1.0))


def relu(x: Vec) -> Vec:
    return x.code.select(x.is_("<", 0.0), x.code.vec(0.0), x)


def step(x: Vec) -> Vec:
    """1 where x > 0, else 0; 1 for NaN, so that the gradient passes through a relu whose value is NaN, as in torch."""
    return x.code.select(x.is_("<=", 0.0), x.code.vec(0.0), x.code.vec(1.0))


def sign(x: Vec) -> Vec:
    one = x.code.vec(1.0).intrinsic("copysign", x)
    return x.code.select(x.is_("==", 0.0), x.code.vec(0.0), x.code.select(x.is_("!=", x), x, one))


def maximum(x: Vec, y: Vec) -> Vec:
    """The larger; NaN if either is."""
    larger = x.code.select(x.is_(">", y), x, y)
    return x.code.select(x.is_("!=", x), x, larger)


def table(code: Code) -> Mapping[str, Callable]:
    """The operations of `calculus.evaluate`, each emitting instructions into `code`."""
    return {
        "constant": code.vec,
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "div": lambda x, y: x / y,
        "neg": lambda x: -x,
        "sqrt": lambda x: x.intrinsic("sqrt"),
        "abs": magnitude,
        "exp": exp,
        "log": log,
        "log1p": log1p,
        "sigmoid": sigmoid,
        "tanh": tanh,
        "relu": relu,
        "step": step,
        "sign": sign,
        "maximum": maximum,
    }
