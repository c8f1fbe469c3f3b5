"""What a derivation contains: the form of a textbook, its order, its sections, and its arguments."""

import re
from pathlib import Path

import pytest
from tests.calculus.derivation.numbers import lines

from tidegate.calculus import trace
from tidegate.calculus.derivation import FORMATS, LANGUAGES, derive
from tidegate.calculus.derivation import formula as F
from tidegate.cells import CELLS, Cell
from tidegate.cells.find import find_cell
from tidegate.cells.functions import sigmoid, tanh
from tidegate.errors import ArgumentError

TIDE = f"{Path(__file__).parents[3] / 'examples' / 'tide.py'}:Tide"
EVERY = [*CELLS, TIDE]


def text(name, **options):
    return derive(find_cell(name), **options).render("text")


def section(document, title):
    return next(s for s in document.sections if s.title.startswith(title))


TEXTBOOK = {
    "rnn": ["da_n[t,k] = dq_n[t,k] = dh[t,k] * (1 - n[k]^2)", "dh[t,k]   = U_n^T dq_n[t,k+1]",
            "because q_n[k+1] = U_n h[k] + c_n", "J[t] = diag(1 - n[t]^2) U_n", "<= ||U_n||",
            ">= min|1 - n[t]^2| sigma_min(U_n)", "through the recurrent product"],
    "rnn-relu": ["Here step(x) = 1 for x > 0, else 0", "The derivative is 1 for an active unit", ">= min|step(n[t])|"],
    "residual": ["+ U_n^T dq_n[t+1] + dh[t+1]", "J[t] = I", "+ diag(1 - n[t]^2) U_n", "<= 1 + ||U_n||",
                 ">= 1 - max|1 - n[t]^2| ||U_n||", "one step multiplies the gradient by |1 + μ|",
                 "it grows if μ > 0, and also if μ < -2"],
    "residual-sigmoid": ["through candidate n"],
    "gru": [
        "dz[t]   = dh[t] * (h[t-1] - n[t])", "dn[t]   = dh[t] * (1 - z[t])", "dr[t]   = da_n[t] * q_n[t]",
        "dq_n[t] = da_n[t] * r[t]", "J[t] = diag(z[t])", "+ diag((h[t-1] - n[t]) * z[t] * (1 - z[t])) U_z",
        "+ diag((1 - z[t]) * (1 - n[t]^2) * r[t]) U_n", "z[t] = 1: h[t-1] is kept unchanged",
        "r[t] = 1 and z[t] = 0: this is the cell rnn", "r[t] = 0: n[t] does not depend on the past",
        "through reset gate r", "through candidate n", "With z[t] = 1 (update gate z):",
        "z[t] = 1 keeps h[t-1], as with the update gate of torch.nn, D2L, NNDL and Cho et al. (2014)",
        "because h[k] = (1 - z[k]) * n[k] + z[k] * h[k-1]",
        "sum_{t=1..T} sum_{k=1..t} dq_g[t,k] h[k-1]^T", "sum_{k=1..T} dq_g[k] h[k-1]^T",
    ],
    "reset-before-gru": [
        "dr[t]   = (U_n^T dq_n[t]) * h[t-1]", "∂L/∂U_n  = sum_{t=1..T} dq_n[t] (r[t] * h[t-1])^T",
        "U_n (diag(r[t]) + diag(h[t-1] * r[t] * (1 - r[t])) U_r)", "r[t] = 1 and z[t] = 0: this is the cell rnn",
        "r[t] = 1: this is the cell update-only-gru.\n  q_n[t] = U_n h[t-1] + c_n",
    ],
    "lstm": [
        "dc[t]   = dc[t+1] * f[t+1]", "+ dh[t] * o[t] * (1 - tanh(c[t])^2)", "J_cc[t] = diag(f[t])",
        "J_hc[t] = diag(o[t] * (1 - tanh(c[t])^2) * f[t])", "(2H × 2H)", "because h[k] = o[k] * tanh(c[k])",
        "i[t] = 0 and f[t] = 1: c[t-1] is kept unchanged", "sigma_min(J_cc[t])       >= min|f[t]|",
    ],
    "peephole-lstm": [
        "a parameter of Tidegate's layer alone", "J_cc[t] = diag(f[t])                                          direct",
        "+ diag(c[t-1] * f[t] * (1 - f[t]) * v_f)              through forget gate f",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTBOOK)
def test_the_derivation_has_the_form_of_a_textbook(name):
    written = " ".join(text(name).split())
    for line in TEXTBOOK[name]:
        assert " ".join(line.split()) in written, line


@pytest.mark.parametrize("name", EVERY)
def test_the_output_layer_the_loss_and_the_sources_are_printed(name):
    written = " ".join(text(name).split())
    for line in ("softmax(", "∂L[t]/∂h[t] = V^T", "sum_{t=1..T} L[t]", "Hochreiter, J. Schmidhuber", "diploma thesis",
                 "P. Simard", "R. Pascanu", "K. Cho et al.", "J. Chung", "min(1, θ / ||g||) g"):  # fmt: skip
        assert line in written


def test_a_gradient_is_used_only_after_it_is_computed():
    for name in EVERY:
        known = set()
        step = trace(find_cell(name))
        for left, _, right, _ in lines(section(derive(find_cell(name)), "Backward").body):
            if left.letter in step.state:
                known.add(left)
            used = set(re.findall(r"Name\(letter='(\w+)', sub='(\w*)', time=0, d=True", repr(right)))
            ready = {(n.letter, n.sub) for n in known}
            assert used - {(left.letter, left.sub)} <= ready | {("q", left.sub)}, (name, left)
            known |= {left, F.Name("q", left.sub, 0, d=True)} if left.letter == "a" else {left}


@pytest.mark.parametrize("name", EVERY)
def test_every_term_of_an_error_term_has_its_reason(name):
    body = section(derive(find_cell(name)), "The error terms").body
    reasons = [item.why for item in body if hasattr(item, "why") and "t,k" in repr(item.parts)]
    assert sum(any("because" in part for part in why if isinstance(part, str)) for why in reasons) > 1


def test_unrolling_prints_every_factor_of_the_product():
    written = text("residual", unroll=3)
    assert "∂h[t]/∂h[t-3] = J[t] J[t-1] J[t-2]" in written
    assert "J[t-2]        = I" in written
    assert "Multiplied out, this is a sum over 8 paths" in written
    assert "steps written out" not in text("residual")


def test_jacobian_only_omits_the_recursion():
    titles = [s.title for s in derive(find_cell("gru"), jacobian_only=True).sections]
    assert titles == ["The step", "The Jacobian of a step", "When the gradient vanishes and when it explodes"]


def test_brief_prints_the_results_and_full_the_steps_to_them():
    brief, full = text("gru", steps="brief"), text("gru")
    for line in ("because", "sum_{k=1..t}", "da_g[t,k]"):
        assert line in full
        assert line not in brief
    for line in ("∂L/∂W_g  = sum_{t=1..T} da_g[t] x[t]^T", "dz[t]   = dh[t] * (h[t-1] - n[t])", "J[t] = diag(z[t])"):
        assert line in full
        assert line in brief


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("language", LANGUAGES)
def test_gates_and_candidates_are_called_what_they_are(name, language):
    step = trace(find_cell(name))
    written = text(name, language=language)
    for g, e in step.gate.items():
        if e.op != "sigmoid":
            assert not re.search(rf"([Gg]ate|门) {g}\b", written)


@pytest.mark.parametrize("format", FORMATS)
def test_deriving_twice_prints_the_same(format):
    assert derive(find_cell("lstm")).render(format) == derive(find_cell("lstm")).render(format)


@pytest.mark.parametrize("unroll", [-1, 10, 1.5])
def test_unroll_is_checked(unroll):
    with pytest.raises(ArgumentError, match=r"`unroll` must be a whole number in 0..9"):
        derive(find_cell("gru"), unroll=unroll)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": "all"}, "`steps` must be one of full, brief, got 'all'"),
     ({"notation": "pml"}, "`notation` must be one of tidegate, nndl, d2l"),
     ({"language": "de"}, "`language` must be one of en, zh"),
     ({"convention": "z"}, "`convention` must be one of keep, write")],
)  # fmt: skip
def test_the_options_are_checked(options, message):
    with pytest.raises(ArgumentError, match=message):
        derive(find_cell("gru"), **options)


@pytest.mark.parametrize("name", ["rnn", "lstm", "reset-only-gru"])
def test_a_convention_for_a_cell_without_an_update_gate_is_refused(name):
    with pytest.raises(ArgumentError, match=r"`convention` is about gates .* has none: leave it out"):
        derive(name, convention="keep")


def test_the_convention_is_printed_and_says_what_was_replaced():
    class Written(Cell):
        gates = ("z", "n")
        state = ("h",)

        def equations(a, U, h):
            z = sigmoid(a.z + U.z(h))
            n = tanh(a.n + U.n(h))
            return (z * n + (1 - z) * h,), (z, n)

    own = " ".join(derive(Written).render().split())
    assert "z[t] = 0 keeps h[t-1], as with the update gate of Chung et al. (2014)" in own
    assert "This is the cell" not in own
    kept = " ".join(derive(Written, convention="keep").render().split())
    assert "z[t] = 1 keeps h[t-1], as with the update gate of torch.nn" in kept
    assert "This is the cell Written with 1 - z[t] for z[t]" in kept
    assert "h[t] = (1 - z[t]) * n[t] + z[t] * h[t-1]" in kept
    assert derive(Written).render() == derive(Written, convention="write").render()
    assert "h[t] = z[t] * n[t] + (1 - z[t]) * h[t-1]" in " ".join(text("gru", convention="write").split())
    assert "z[t] = 1: this is the cell reset-only-gru" in text("reset-before-gru", convention="write")


@pytest.mark.parametrize("cell", ["gru", "reset-before-gru"])
def test_with_both_gates_closed_the_gru_is_a_function_of_its_input(cell):
    written = derive(cell).render()
    assert "r[t] = 0 and z[t] = 0: h[t] depends on the input of this step alone" in written
    assert "r[t] = 1 and z[t] = 1: " not in written


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", CELLS)
def test_only_cells_with_gates_have_a_section_of_special_cases(name, language):
    title = LANGUAGES[language].text("cases")
    gated = name not in ("rnn", "rnn-relu", "residual", "residual-sigmoid")
    assert (title in [section.title for section in derive(name, language=language).sections]) == gated
