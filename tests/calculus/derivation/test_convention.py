"""The sentences about an update gate follow from its sign: evaluated with the printed equation of the new state."""

import re
from pathlib import Path

import pytest

from tidegate.calculus import trace
from tidegate.calculus.derivation import CONVENTIONS, LANGUAGES, derive
from tidegate.calculus.derivation.roles import keepers
from tidegate.cells import CELLS, Cell
from tidegate.cells.find import find_cell
from tidegate.cells.functions import sigmoid, tanh
from tidegate.errors import ArgumentError

TIDE = f"{Path(__file__).parents[3] / 'examples' / 'tide.py'}:Tide"


class Replacing(Cell):
    """A cell whose gate replaces the state at 1, as printed by Chung et al. (2014)."""

    gates = ("u", "n")
    state = ("h",)

    def equations(a, U, h):
        u = sigmoid(a.u + U.u(h))
        n = tanh(a.n + U.n(h))
        return (u * n + (1 - u) * h,), (u, n)


EVERY = [cell for cell in (*CELLS.values(), find_cell(TIDE), Replacing) if any(True for _ in keepers(trace(cell)))]
SAID = {
    "en": {
        "convention": r"Sign convention: {z}\[t\] = (\d) keeps {s}\[t-1\],",
        "other": r"{z}\[t\] = (\d) would keep the state",
        "remedy": r"Vanishing: [^:.]*\b{z} near (\d) from the beginning\. With b_{z} = (-?)log\(K - 1\)",
        "path": r"it is kept where (.*?) is near (\d), and vanishes at once where (.*?) is near (\d)\.",
        "kept": r"{z}\[t\] = (\d): {s}\[t-1\] is kept unchanged",
    },
    "zh": {
        "convention": r"符号约定：{z}\[t\] = (\d) 时保留 {s}\[t-1\]，",
        "other": r"{z}\[t\] = (\d) 时保留状态",
        "remedy": r"针对梯度消失：一开始就让[^：。]*{z} 接近 (\d)。当 b_{z} = (-?)log\(K - 1\)",
        "path": r"梯度不会爆炸：(.*?) 接近 (\d) 时梯度得以保持，(.*?) 接近 (\d) 时梯度立即消失。",
        "kept": r"{z}\[t\] = (\d)：{s}\[t-1\] 保持不变",
    },
}


def printed(cell, convention, language):
    written = derive(cell, convention=convention, language=language).render("text")
    equations = dict(re.findall(r"^  (\w+)\[t\] += (\S+(?: \S+)*)", written, re.MULTILINE)[::-1])
    return (" " if language == "en" else "").join(re.split(r"\s*\n\s*", written)), equations


def new_state(equation, s, z, value):
    """(new state, old state) by the printed equation, with the gate at `value` and everything else at other numbers."""
    names = {name: 0.3 + i for i, name in enumerate(sorted(set(re.findall(r"\w+\[t(?:-1)?\]", equation))))}
    names[f"{z}[t]"] = value
    expression = re.sub(r"\w+\[t(?:-1)?\]", lambda found: repr(names[found[0]]), equation)
    return eval(expression, {"__builtins__": {}}), names[f"{s}[t-1]"]


@pytest.mark.parametrize("cell", EVERY)
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_about_an_update_gate_agrees_with_the_printed_equation(cell, convention, language):
    written, equations = printed(cell, convention, language)
    gates = [(z, s) for z, _, s in keepers(trace(cell))]
    for z, s in gates:
        keeps = []
        for value in (0, 1):
            new, old = new_state(equations[s], s, z, value)
            keeps += [value] if new == pytest.approx(old) else []
        (right,) = keeps
        assert right == {"keep": 1, "write": 0}[convention]
        said = {name: pattern.replace("{z}", z).replace("{s}", s) for name, pattern in SAID[language].items()}
        assert re.search(said["convention"], written)[1] == str(right)
        assert re.search(said["other"], written)[1] == str(1 - right)
        assert re.search(said["kept"], written)[1] == str(right)
        near, minus = re.search(said["remedy"], written).groups()
        bias = (-1 if minus else 1) * 3.0  # log(K - 1) of some K above 2
        assert int(near) == round(1 / (1 + 2.718281828**-bias)) == right
    direct = re.search(SAID[language]["path"], written)
    for factor, number in (direct.groups()[:2], direct.groups()[2:]):
        z, s = next(pair for pair in gates if f"{pair[0]}[t]" in factor)
        values = [v for v in (0, 1) if eval(factor.replace(f"{z}[t]", str(v)), {"__builtins__": {}}) == int(number)]
        new, old = new_state(equations[s], s, z, *values)
        assert (new == pytest.approx(old)) == (number == "1")
    assert not re.search(r"\b(open|closed|closes)\b|打开|关闭", written)


class Adding(Cell):
    """A cell whose gate limits what is added to a state that is always kept: not an update gate."""

    gates = ("i", "n")
    state = ("h",)

    def equations(a, U, h):
        i = sigmoid(a.i + U.i(h))
        n = tanh(a.n + U.n(h))
        return (h + i * n,), (i, n)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_gate_that_only_adds_is_not_called_an_update_gate(language):
    assert not list(keepers(trace(Adding)))
    written = derive(Adding, language=language).render("text")
    assert "log(K - 1)" not in written
    assert {"en": "Sign convention", "zh": "符号约定"}[language] not in written
    assert {"en": "no gate limits them", "zh": "没有门加以限制"}[language] not in written
    with pytest.raises(ArgumentError, match="convention"):
        derive(Adding, convention="keep")
