"""What is printed is true, by numbers; reads as a textbook does; and is well formed in every format."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from tidegate.calculus import trace
from tidegate.calculus.derivation import FORMATS, derive
from tidegate.calculus.derivation import formula as F
from tidegate.calculus.derivation.document import Equation
from tidegate.cells import CELLS
from tidegate.errors import ArgumentError
from tidegate.nn import find_cell
from tidegate.verification.direct import by_name, unroll_moments
from tidegate.verification.problem import random_problem

ROOT = Path(__file__).parents[3]
TIDE = f"{ROOT / 'examples' / 'tide.py'}:Tide"
EVERY = [*CELLS, TIDE]


class Numbers:
    """Every name of a derivation at step t = 2 of 4, from autograd of the equations; column vectors."""

    def __init__(self, cell):
        self.step = step = trace(cell)
        problem = random_problem(cell, sizes=(4, 1, 3, 5), seed=51)
        self.call = call = problem.call
        result, moments = unroll_moments(call, cell)
        L = problem.loss(result)
        self.named = {}
        for t, m in enumerate(moments, 1):
            now = {("a", g): v for g, v in m.a.items()} | {("q", g): v for g, v in m.q.items()}
            now |= {(g, ""): v for g, v in m.gate.items()} | {(s, ""): v for s, v in m.new.items()}
            found = torch.autograd.grad(L, list(now.values()), retain_graph=True, allow_unused=True)
            for ((letter, sub), v), d in zip(now.items(), found):
                self.named[letter, sub, t, False] = v[0].detach()
                if d is not None:
                    self.named[letter, sub, t, True] = d[0]
            self.named["x", "", t, False] = call.x[t - 1, 0].detach()
            self.named["l", t] = problem.d_outputs[t - 1, 0]
        for s, v, d in zip(step.state, call.states, torch.autograd.grad(L, list(call.states), retain_graph=True)):
            self.named[s, "", 0, False] = v[0].detach()
            self.named["L", s] = d[0]
        self.named["L", "x"] = torch.autograd.grad(L, call.x, retain_graph=True)[0][1, 0]
        w = call.weights
        packed = (("W", w.w_ih, step.inputs), ("U", w.w_hh, step.products), ("b", w.b_ih, step.inputs))
        packed = (*packed, ("c", w.b_hh, step.products), ("v", w.vectors, step.vectors))
        for letter, tensor, names in packed:
            if tensor is not None:
                (d,) = torch.autograd.grad(L, tensor, retain_graph=True)
                for kind, blocks in (("value", by_name(tensor.detach(), names, 5)), ("L", by_name(d, names, 5))):
                    for n, block in blocks.items():
                        self.named[(letter, n, None, False) if kind == "value" else ("L", letter, n)] = block

    def of(self, f, t, gate=None):
        """The number that a formula stands for at step t, with `gate` for the letter that stands for any."""

        def value(f, t=t):
            match f:
                case F.Name("I"):
                    return torch.eye(5, dtype=torch.float64)
                case F.Name():
                    time = None if f.time is None else int(f.time) if isinstance(f.time, str) else t + f.time
                    return self.named[f.letter, gate if f.sub and f.sub == self.any else f.sub, time, f.d]
                case F.Number():
                    return f.value
                case F.Sum():
                    return sum(sign * value(term, t) for sign, term in f.terms)
                case F.Product():
                    result = None
                    for factor in f.factors:
                        v = value(factor, t)
                        both = result is not None and f.matrix and isinstance(v, torch.Tensor)
                        if both and result.dim() == 1:
                            result = torch.outer(result, v)
                        else:
                            result = v if result is None else result @ v if both else result * v
                    return result
                case F.Square():
                    return value(f.base, t) ** 2
                case F.Transpose():
                    base = value(f.base, t)
                    return base.T if base.dim() == 2 else base
                case F.Apply("diag"):
                    return torch.diag(value(f.arguments[0], t))
                case F.Apply("step"):
                    return (value(f.arguments[0], t) > 0).double()
                case F.Apply():
                    return getattr(torch, f.function)(*(value(a, t) for a in f.arguments))
                case F.Over("sum", "t", "1", "T"):
                    return sum(value(f.body, k) for k in range(1, 5))
                case F.Partial(F.Name("l"), F.Name()):
                    return self.named["l", t]
            raise NotImplementedError(f)

        self.any = next(letter for letter in "gkjm" if letter not in self.step.gates)
        return value(f)


def lines(section):
    """(left, right, note) of the equations of a section, lines that go on joined to the first."""
    joined = []
    for item in section.body:
        if isinstance(item, Equation):
            if item.parts[0] == F.BLANK and item.relation == "+":
                left, right, note = joined[-1]
                joined[-1] = left, F.Sum(((1, right), (1, item.parts[1]))), note
            elif item.relation == "=":
                joined += [(item.parts[0], right, item.note) for right in item.parts[1:]]
    return joined


def section(document, title):
    return next(s for s in document.sections if s.title.startswith(title))


@pytest.mark.parametrize("name", EVERY)
def test_the_printed_forward_and_backward_equations_are_true(name):
    cell = find_cell(name)
    numbers, document = Numbers(cell), derive(cell)
    checked = set()
    for title in ("The step", "Backward"):
        for left, right, note in lines(section(document, title)):
            gates = re.findall(r"for \w = (.*)", note)
            for gate in gates[0].split(", ") if gates else [None]:
                got = numbers.of(right, 2, gate)
                torch.testing.assert_close(got, numbers.of(left, 2, gate).expand_as(got), rtol=1e-12, atol=1e-13)
                checked.add((left.letter, gate or left.sub, left.d))
    step = trace(cell)
    assert {("a", g, True) for g in step.inputs} <= checked
    assert {(s, "", d) for s in step.state for d in (False, True)} <= checked


@pytest.mark.parametrize("name", EVERY)
def test_the_printed_sums_are_the_gradients(name):
    cell = find_cell(name)
    numbers, checked = Numbers(cell), 0
    step = trace(cell)
    for left, right, note in lines(section(derive(cell), "Gradients")):
        wrt = left.bottom
        gates = re.findall(r"for \w = (.*)", note)
        everyone = {"b": step.inputs, "c": step.products}
        for gate in gates[0].split(", ") if gates else everyone.get(wrt.letter, [None]) if wrt.sub else [None]:
            got = numbers.of(right, 2, gate)
            if wrt.letter == "x":
                expected = numbers.named["L", "x"]
            elif wrt.time == "0":
                expected = numbers.named["L", wrt.letter]
            else:
                expected = numbers.named["L", wrt.letter, gate or wrt.sub]
            torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)
            checked += 1
    assert checked == 2 * len(step.inputs) + 2 * len(step.products) + len(step.vectors) + 1 + len(step.state)


def text(name, **options):
    return derive(find_cell(name), **options).render("text")


TEXTBOOK = {
    "rnn": ["da_n[t] = dq_n[t] = dh[t] * (1 - n[t]^2)", "J[t] = diag(1 - n[t]^2) U_n", "<= ||U_n||"],
    "residual": ["+ U_n^T dq_n[t+1] + dh[t+1]", "J[t] = I", "+ diag(1 - n[t]^2) U_n", "<= 1 + ||U_n||"],
    "gru": [
        "dz[t]   = dh[t] * (h[t-1] - n[t])", "dn[t]   = dh[t] * (1 - z[t])", "dr[t]   = da_n[t] * q_n[t]",
        "dq_n[t] = da_n[t] * r[t]", "J[t] = diag(z[t])", "+ diag((h[t-1] - n[t]) * z[t] * (1 - z[t])) U_z",
        "+ diag((1 - z[t]) * (1 - n[t]^2) * r[t]) U_n", "z[t] = 1: h is kept unchanged",
        "r[t] = 1 and z[t] = 0: this is the cell rnn", "r[t] = 0: n does not depend on the past",
    ],
    "reset-before-gru": [
        "dr[t]   = (U_n^T dq_n[t]) * h[t-1]", "∂L/∂U_g  = sum_{t=1..T} dq_g[t] (r[t] * h[t-1])^T",
        "U_n (diag(r[t]) + diag(h[t-1] * r[t] * (1 - r[t])) U_r)", "r[t] = 1 and z[t] = 0: this is the cell rnn",
    ],
    "lstm": [
        "dc[t]   = dc[t+1] * f[t+1]", "+ dh[t] * o[t] * (1 - tanh(c[t])^2)", "J_cc[t] = diag(f[t])",
        "J_hc[t] = diag(o[t] * (1 - tanh(c[t])^2) * f[t])", "(2H × 2H)",
        "i[t] = 0 and f[t] = 1: c is kept unchanged",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTBOOK)
def test_the_derivation_has_the_form_of_a_textbook(name):
    written = text(name)
    for line in TEXTBOOK[name]:
        assert line in written


def test_a_gradient_is_used_only_after_it_is_computed():
    for name in EVERY:
        known = set()
        step = trace(find_cell(name))
        for left, right, _ in lines(section(derive(find_cell(name)), "Backward")):
            if left.letter in step.state:
                known.add(left)
            used = set(re.findall(r"Name\(letter='(\w+)', sub='(\w*)', time=0, d=True\)", repr(right)))
            ready = {(n.letter, n.sub) for n in known}
            assert used - {(left.letter, left.sub)} <= ready | {("q", left.sub)}, (name, left)
            known |= {left, F.Name("q", left.sub, 0, d=True)} if left.letter == "a" else {left}


def test_unrolling_prints_every_factor_of_the_product():
    written = text("residual", unroll=3)
    assert "∂h[t]/∂h[t-3] = J[t] J[t-1] J[t-2]" in written
    assert "J[t-2]        = I" in written
    assert "Multiplied out, this is a sum over 8 paths" in written
    assert "written out" not in text("residual").replace("products written out", "")


def test_jacobian_only_omits_the_recursion():
    titles = [s.title for s in derive(find_cell("gru"), jacobian_only=True).sections]
    assert titles == ["The step", "The Jacobian of a step", "What the Jacobian does to a gradient over K steps"]


@pytest.mark.parametrize("unroll", [-1, 10, 1.5])
def test_unroll_is_checked(unroll):
    with pytest.raises(ArgumentError, match=r"`unroll` must be a whole number in 0..9"):
        derive(find_cell("gru"), unroll=unroll)


@pytest.mark.parametrize("name", EVERY)
def test_latex_is_balanced(name):
    for format in ("latex", "markdown"):
        written = derive(find_cell(name), unroll=2).render(format)
        assert written.count(r"\left") - written.count(r"\leftarrow") == written.count(r"\right")
        assert written.count("{") - written.count(r"\{") == written.count("}") - written.count(r"\}")
        for environment in set(re.findall(r"\\begin{(.*?)}", written)):
            assert written.count(rf"\begin{{{environment}}}") == written.count(rf"\end{{{environment}}}")
        assert written.count("$") % 2 == 0


@pytest.mark.parametrize("name", EVERY)
def test_html_is_one_offline_page_of_well_formed_mathml(name):
    page = derive(find_cell(name), unroll=2).render("html")
    assert "http" not in page
    assert "<script" not in page
    formulas = re.findall(r"<math.*?</math>", page, re.DOTALL)
    assert len(formulas) > 40
    for each in formulas:
        ElementTree.fromstring(each)


@pytest.mark.parametrize("format", FORMATS)
def test_deriving_twice_prints_the_same(format):
    assert derive(find_cell("lstm")).render(format) == derive(find_cell("lstm")).render(format)


@pytest.mark.parametrize("name", CELLS)
def test_the_page_in_docs_is_what_the_command_prints(name):
    page = ROOT / "docs" / "derivations" / f"{name}.md"
    again = f"tidegate derive {name} --format markdown --out docs/derivations/{name}.md"
    assert page.read_text(encoding="utf-8") == derive(CELLS[name]).render("markdown"), f"stale; run {again}"


def test_docs_list_every_derivation():
    index = (ROOT / "docs" / "derivations" / "README.md").read_text(encoding="utf-8")
    assert all(f"]({name}.md)" in index for name in CELLS)
