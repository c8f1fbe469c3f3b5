"""The letters of the two textbooks, as they print them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.calculus import trace
from tidegate.calculus.derivation import NOTATIONS, derive
from tidegate.calculus.derivation.notation import index_of, shifted
from tidegate.cells import CELLS, Cell
from tidegate.cells.find import find_cell
from tidegate.cells.functions import relu, sigmoid, tanh

TIDE = f"{Path(__file__).parents[3] / 'examples' / 'tide.py'}:Tide"

BOOKS = {
    ("rnn", "nndl"): [
        "z[t] = W x[t] + U h[t-1] + b", "h[t] = tanh(z[t])", "δ[t,k] = ∂ℒ[t]/∂z[k]", "u[t] = V h[t] + c",
        "∂ℒ/∂U = sum_{t=1..T} ∂ℒ[t]/∂U", "= sum_{t=1..T} sum_{k=1..t} δ[t,k] h[k-1]^T",
        "= sum_{t=1..T} sum_{k=1..t} δ[t,k] x[k]^T", "J[t] = diag(1 - h[t]^2) U",
    ],
    ("residual", "nndl"): ["h[t] = h[t-1] + h̃[t]", "h̃[t] = tanh(z[t])", "z[t] = W x[t] + U h[t-1] + b"],
    ("reset-before-gru", "nndl"): [
        "h̃[t] = tanh(a_h[t])", "a_h[t] = W_h x[t] + U_h (r[t] * h[t-1]) + b_h",
        "h[t] = (1 - z[t]) * h̃[t] + z[t] * h[t-1]", "δ_h[t] = ∂ℒ/∂h̃[t] * (1 - h̃[t]^2)",
    ],
    ("lstm", "nndl"): ["c̃[t] = tanh(z_c[t])",
                       "z_c[t] = W_c x[t] + U_c h[t-1] + b_c", "c[t] = f[t] * c[t-1] + i[t] * c̃[t]",
                       "δ_f[t] = ∂ℒ/∂f[t] * f[t] * (1 - f[t])"],
    ("rnn", "d2l"): ["A_h[t] = X[t] W_xh + H[t-1] W_hh + b_h", "H[t] = tanh(A_h[t])", "O[t] = H[t] W_hq + b_q",
                     "∂L/∂W_hh = sum_{t=1..T} H[t-1]^T ∂L/∂A_h[t]", "∂L[t]/∂H[t] = ∂L[t]/∂O[t] W_hq^T"],
    ("reset-before-gru", "d2l"): [
        "A_r[t] = X[t] W_xr + H[t-1] W_hr + b_r", "R[t] = sigmoid(A_r[t])", "Z[t] = sigmoid(A_z[t])",
        "A_h[t] = X[t] W_xh + (R[t] * H[t-1]) W_hh + b_h", "H̃[t] = tanh(A_h[t])",
        "H[t] = (1 - Z[t]) * H̃[t] + Z[t] * H[t-1]", "∂L/∂W_hz = sum_{t=1..T} H[t-1]^T ∂L/∂A_z[t]",
        "+ diag((H[t-1] - H̃[t]) * Z[t] * (1 - Z[t])) W_hz^T",
    ],
    ("lstm", "d2l"): ["I[t] = sigmoid(A_i[t])", "C̃[t] = tanh(A_c[t])", "C[t] = F[t] * C[t-1] + I[t] * C̃[t]",
                      "H[t] = O[t] * tanh(C[t])", "∂L/∂W_xc = sum_{t=1..T} X[t]^T ∂L/∂A_c[t]"],
}  # fmt: skip


@pytest.mark.parametrize(("cell", "notation"), BOOKS)
def test_the_letters_and_the_form_are_those_of_the_book(cell, notation):
    written = " ".join(derive(cell, notation=notation).render().split())
    for line in BOOKS[cell, notation]:
        if cell == "lstm" and "W_xc =" in line:
            line = line.replace("W_xc", "W_xj").replace("A_c", "A_j")
        if cell == "reset-before-gru" and "W_hz =" in line:
            line = line.replace("W_hz", "W_hg").replace("A_z", "A_g")
        assert line in written, line


def test_sentences_in_rows_have_the_letters_of_the_book_and_no_transposition():
    written = " ".join(derive("gru", notation="d2l", jacobian_only=True).render().split())
    assert "W_xr (D × H) and W_hr (H × H) are the weights of a gate" in written
    assert "Here sigmoid(x) = 1 / (1 + exp(-x))." in written
    full = " ".join(derive("rnn-relu", notation="d2l").render().split())
    assert "Here step(x) = 1 for x > 0" in full
    assert "because W_hh multiplies H[t-1]" in full


@pytest.mark.parametrize("cell", [*CELLS, TIDE])
def test_every_derivation_has_a_table_with_the_letters_of_both_books(cell):
    for notation in NOTATIONS:
        table = derive(cell, notation=notation).render().split("The step\n")[0]
        for other in {"Tidegate", "NNDL", "D2L"} - {{"tidegate": "Tidegate"}.get(notation, notation.upper())}:
            assert f"  {other}" in table
        for letters in ("W_xh", "W_xg", "W_xj"):
            if letters in table:
                break
        else:
            pytest.fail("no input weights of D2L")


@pytest.mark.parametrize("notation", NOTATIONS)
def test_two_names_never_share_a_letter(notation):
    class Letters(Cell):
        gates = ("z", "Z", "u", "y", "n")
        state = ("h", "s")

        def equations(a, U, h, s):
            z, big = sigmoid(a.z + U.z(h)), sigmoid(a.Z + U.Z(h))
            u, y = sigmoid(a.u + U.u(h)), sigmoid(a.y + U.y(s))
            n = tanh(a.n + U.n(z * h))
            return (u * n + big * h, y * s + n), (z, big, u, y, n)

    letters = NOTATIONS[notation](trace(Letters))
    names = [letters.value(name) for name in (*Letters.gates, *Letters.state)]
    names += [letters.logits(), letters.target(), letters.prediction(), letters.x(), letters.pre("z"), letters.states()]
    assert len(set(names)) == len(names)
    assert derive(Letters, notation=notation).render()


@pytest.mark.parametrize("notation", NOTATIONS)
def test_weights_of_two_gates_never_share_a_subscript(notation):
    class Both(Cell):
        """A candidate m of the state h, and n, which is its new value."""

        gates = ("m", "n")
        state = ("h",)

        def equations(a, U, h):
            m = relu(a.m + U.m(h))
            n = tanh(a.n + m + U.n(h))
            return (n,), (m, n)

    letters = NOTATIONS[notation](trace(Both))
    assert letters.sub("m") != letters.sub("n")
    assert letters.value("m") != letters.value("n")


def test_times_are_shifted():
    assert [shifted(time, by) for time, by in ((0, 1), ("k", 1), ("k+1", -1), ("k", -1), ("1", -1), ("t-2", -1))] == [
        1, "k+1", "k", "k-1", "0", "t-3",
    ]  # fmt: skip


class Mixed(Cell):
    """Gates with one net input, with a product that is multiplied, without a product, and without an input."""

    gates = ("z", "n", "k", "m")
    state = ("h",)

    def equations(a, U, h):
        z, k, m = sigmoid(a.z + U.z(h)), sigmoid(a.k), sigmoid(U.m(h))
        n = tanh(a.n + z * U.n(h))
        return (k * h + m * n,), (z, n, k, m)


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("cell", [*CELLS.values(), Mixed, TIDE])
def test_the_table_has_exactly_the_biases_of_the_equations(cell, notation):
    pages = derive(cell, notation=notation)
    table, equations = (replace(pages, sections=pages.sections[i : i + 1]).render() for i in (0, 1))
    letters = NOTATIONS[notation](trace(find_cell(cell) if isinstance(cell, str) else cell))
    listed, index = set(), index_of(letters.step)
    for name, meaning in re.findall(r"^  ([bc]\S*) +(bias of .*?)(?:  |$)", table, flags=re.MULTILINE):
        if "output layer" not in meaning:
            some = re.search(rf"; {index} = (.*)", meaning)
            subs = some[1].split(", ") if some else [letters.sub(g) for g in letters.step.gates]
            listed |= (
                {name[:-1] + sub for sub in subs} if name in (f"b_{index}", f"c_{index}", f"b_h{index}") else {name}
            )
    names = set(re.findall(r"\b[bc]_\w+|\bb\b(?!_)", equations)) - {f"b_{index}", f"c_{index}"}
    assert listed == names


def test_biases_that_are_one_in_the_book_are_told_from_those_that_are_two():
    lines = [" ".join(line.split()) for line in derive("gru", notation="nndl").render().splitlines()]
    for line in (
        "b_g bias of a gate; the sum of its blocks of torch's bias_ih and bias_hh; g = r, z H b_g + c_g b_g",
        "b_h bias of the input term; its block of torch's bias_ih H b_n b_h",
        "c_h bias of the recurrent product, whose gradient is not that of b; its block of torch's bias_hh H c_n b_hh",
    ):
        assert line in lines
    chinese = derive("gru", notation="nndl", language="zh").render()
    assert "torch 的 bias_ih 与 bias_hh 中对应两块之和；g = r、z" in chinese
    assert "  c_h " in chinese
