"""verify says yes to what is right, no to what is wrong, and says which gate; in Python and with a layer."""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import tidegate
from tidegate.calculus import trace
from tidegate.cells import CELLS, GRU, RNN
from tidegate.engines import choose, eager
from tidegate.errors import ArgumentError, EngineError
from tidegate.nn import find_cell
from tidegate.verification import verify, verify_all
from tidegate.verification.differences import LADDER, differentiate
from tidegate.verification.direct import unroll
from tidegate.verification.plant import plant, terms_of
from tidegate.verification.problem import options_of, random_problem
from tidegate.verification.values import by_bptt, by_differences, by_rtrl

TIDE = f"{Path(__file__).parents[2] / 'examples' / 'tide.py'}:Tide"


@pytest.mark.parametrize("name", [*CELLS, TIDE])
def test_a_cell_passes_against_every_oracle(name):
    found = verify(name, sizes=(4, 2, 3, 4))
    (comparison,) = found.comparisons
    assert found.passed
    oracles = {"autograd", "differences", "RTRL", "eager float32", "eager float64"}
    assert oracles <= set(comparison.oracles)
    assert ("torch.nn" in comparison.oracles) == (name in ("rnn", "rnn-relu", "gru", "lstm"))
    assert ("torch.nn" in comparison.absent) != ("torch.nn" in comparison.oracles)
    cell = find_cell(name)
    blocks = {(c.quantity, c.gate) for c in comparison.checks}
    assert blocks >= {(q, g) for q in ("dW_ih", "dW_hh", "db_ih", "db_hh") for g in cell.gates}
    assert blocks >= {
        ("y", ""),
        ("dx", ""),
        *((f"{s}_T", "") for s in cell.state),
        *((f"d{s}_0", "") for s in cell.state),
    }
    assert blocks >= {("dv", n) for n in cell.vectors}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_an_error_planted_in_any_term_fails_the_comparison(cell):
    """As verify compares: over the whole sequence, against a path that is right."""
    step = trace(cell)
    problem = random_problem(step, sizes=(3, 2, 2, 3), seed=43)
    right = by_rtrl(problem)
    for term in terms_of(step):
        wrong = by_bptt(problem, plant(step, term, 1.001))
        errors = [np.linalg.norm(wrong[q] - right[q]) / np.linalg.norm(right[q]) for q in right]
        assert max(errors) > 1e-7, term


@pytest.mark.parametrize(("term", "gate"), [("dn: d_h * (1 - z)", "n"), ("dU_z: p^T dq_z", "z"), ("db_r", "r")])
def test_a_planted_error_is_found_and_its_gate_named(term, gate):
    found = verify("gru", plant=term, sizes=(4, 2, 3, 4))
    assert not found.passed
    assert found.worst_gate == gate
    assert f"gate {gate}" in str(found)
    assert "WRONG" in str(found)
    against = {c.oracle for c in found.checks if not c.passed}
    assert against == set(found.comparisons[0].oracles)


def test_a_random_planted_error_is_found_at_every_seed():
    for seed in range(8):
        found = verify("lstm", plant="random", seed=seed, engine="eager", dtype=torch.float64, sizes=(3, 2, 2, 3))
        assert not found.passed
        assert found.comparisons[0].fault is not None


def test_a_custom_cell_is_verified_and_a_planted_error_in_it_found():
    assert verify(TIDE).passed
    step = trace(find_cell(TIDE))
    problem = random_problem(step, sizes=(3, 2, 2, 3), seed=44)
    right = by_rtrl(problem)
    for term in terms_of(step):
        wrong = by_bptt(problem, plant(step, term))
        assert any(np.linalg.norm(wrong[q] - right[q]) > 1e-9 for q in right), term


def test_an_engine_with_wrong_results_is_named(monkeypatch):
    class Wrong:
        NAME = "wrong"
        refuse = staticmethod(eager.refuse)

        @staticmethod
        def run(call):
            weights = replace(call.weights, b_hh=call.weights.b_hh * 1.001)
            return eager.run(replace(call, weights=weights))

    monkeypatch.setitem(choose.ENGINES, "wrong", Wrong)
    found = verify("gru")
    assert not found.passed
    assert {c.oracle for c in found.checks if not c.passed} == {"wrong float64", "wrong float32"}
    assert found.comparisons[0].fault is None
    assert "agrees with autograd" in str(found)


def test_a_comparison_with_nan_fails(monkeypatch):
    class Lost:
        NAME = "lost"
        refuse = staticmethod(eager.refuse)

        @staticmethod
        def run(call):
            result = eager.run(call)
            return replace(result, outputs=result.outputs * float("nan"))

    monkeypatch.setitem(choose.ENGINES, "lost", Lost)
    found = verify("rnn", engine="lost")
    assert not found.passed
    assert not next(c for c in found.checks if c.quantity == "y" and c.oracle == "lost float32").passed


def test_an_engine_that_cannot_run_the_call_is_listed_with_its_reason(monkeypatch):
    class Shy:
        NAME = "shy"
        refuse = staticmethod(lambda call: "it is shy")
        run = staticmethod(eager.run)

    monkeypatch.setitem(choose.ENGINES, "shy", Shy)
    (comparison,) = verify("rnn").comparisons
    assert comparison.absent["shy float32"] == "it is shy"
    assert "not compared with shy float32: it is shy" in str(comparison)


@pytest.mark.parametrize("options", [("reverse", "lengths", "resets"), ("indexed",), ("no bias",), ("no state",)])
def test_options_are_verified_too(options):
    found = verify("gru", options=options, sizes=(5, 3, 3, 4))
    assert found.passed
    assert found.comparisons[0].options == options
    quantities = {c.quantity for c in found.checks}
    assert ("dx" in quantities) == (options != ("indexed",))
    assert ("db_ih" in quantities) == (options != ("no bias",))


def test_a_layer_is_verified_with_its_own_parameters_part_by_part():
    torch.manual_seed(0)
    layer = tidegate.LSTM(2, 4, num_layers=2, bidirectional=True, proj_size=2)
    found = verify(layer, sizes=(3, 2, 1, 1), engine="eager")
    assert found.passed
    assert [c.part for c in found.comparisons] == ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert found.comparisons[2].sizes == (3, 2, 4, 4)
    assert "projected" in found.comparisons[0].options
    norms = [c.norm for c in found.checks]
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(0.5)
    assert norms != [c.norm for c in verify(layer, sizes=(3, 2, 1, 1), engine="eager").checks]


def test_a_large_layer_is_verified_without_rtrl_and_by_a_sample_of_differences():
    found = verify(tidegate.RNN(30, 24), sizes=(3, 2, 1, 1), engine="eager")
    assert found.passed
    assert "RTRL" in found.comparisons[0].absent
    problem = found.comparisons[0].problem
    values, _ = by_differences(problem, partial(unroll, cell=problem.cell), 0)
    assert (~np.isnan(values["dW_ih"])).sum() == 50


def test_verify_all_covers_every_cell_and_option():
    seen = []
    found = verify_all([RNN], engine="eager", report=seen.append)
    assert found.passed
    assert len(seen) == len(found.comparisons)
    assert {o for c in found.comparisons for o in c.options} == set(options_of(trace(RNN)))
    assert {1, 2, 5, 33} <= {c.sizes[3] for c in found.comparisons}
    summary = found.summary()
    assert f"{len(found.checks):,} comparisons" in summary
    assert "| dW_hh |" in summary
    assert set(found.planted.values()) == {True}
    assert len(found.planted) == len(terms_of(trace(RNN)))
    assert f"planted errors: {len(found.planted)} of {len(found.planted)} found" in summary
    assert "all agree" in summary


def test_a_planted_error_that_is_not_found_fails_and_is_named(monkeypatch):
    from tidegate.verification import everything

    monkeypatch.setattr(everything, "is_found", lambda step, term, seed: not term.startswith("dW_n"))
    monkeypatch.setattr(everything, "cases", lambda step: [((2, 1, 2, 2), ())])
    found = verify_all([GRU], engine="eager")
    assert not found.passed
    assert "NOT FOUND: GRU, dW_n: x^T da_n" in found.summary()


def test_the_same_seed_gives_the_same_numbers():
    first, second = (verify("gru", seed=3, sizes=(3, 2, 2, 3)).as_dict() for _ in range(2))
    assert first["comparisons"] == second["comparisons"]


def test_the_dataclass_is_plain_json():
    found = verify("lstm", plant="di", sizes=(2, 1, 2, 2))
    again = json.loads(json.dumps(found.as_dict()))
    assert again["passed"] is False
    assert again["comparisons"][0]["planted"] == "di: dc' * g"
    assert again["comparisons"][0]["worst_gate"] == "i"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"engine": "fast"}, EngineError, "`engine` must be one of"),
        ({"dtype": torch.float16}, ArgumentError, "`dtype` must be torch.float32 or torch.float64"),
        ({"options": ["sideways"]}, ArgumentError, "`options` must be among"),
        ({"plant": "nothing"}, ArgumentError, "names no term"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_message(arguments, error, message):
    with pytest.raises(error, match=message):
        verify("gru", **arguments)


def test_finite_differences_choose_their_step_and_estimate_their_error():
    x = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    found = differentiate(lambda x: (x.exp() * x.sin()).sum(), x)
    exact = x.exp() * (x.sin() + x.cos())
    actual = float((found.values - exact).norm())
    assert actual < 1e-10
    assert actual < 10 * found.error
    assert min(LADDER) < found.step < max(LADDER)


@pytest.mark.parametrize("cell", ["rnn", "lstm", TIDE])
def test_the_table_fits_100_columns_and_has_every_error_and_one_verdict_for_each_quantity(cell):
    (comparison,) = verify(cell, sizes=(3, 2, 3, 4), plant=terms_of(trace(find_cell(cell)))[0]).comparisons
    lines = list(comparison.table())
    assert max(map(len, lines)) <= 100
    oracles, found, verdicts = list[str](), dict[tuple[str, str], str](), dict[str, str]()
    for line in lines:
        first, *rest = re.split(r"\s{2,}", line.strip())
        if first == "quantity":
            oracles = [name for name in rest if name != "verdict"]
            continue
        found |= {(first, oracle): error for oracle, error in zip(oracles, rest)}
        verdicts |= {first: rest[-1]} if rest[-1].isalpha() else {}
    for check in comparison.checks:
        assert found[check.label, check.oracle] == f"{check.error:.1e}{'!' * (not check.passed)}"
        assert found[check.label, "norm"] == f"{check.norm:.2e}"
    wrong = {check.label for check in comparison.checks if not check.passed}
    assert verdicts == {check.label: "WRONG" if check.label in wrong else "ok" for check in comparison.checks}
