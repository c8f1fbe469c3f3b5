"""An error planted in any term of any cell's backward step is found, and the gate it belongs to is named."""

import pytest

from tidegate.calculus import adjoint, trace
from tidegate.cells import CELLS, GRU
from tidegate.errors import ArgumentError
from tidegate.verification.fault import find_fault
from tidegate.verification.plant import plant, terms_of
from tidegate.verification.problem import random_problem

TERMS = [
    pytest.param(cell, term, id=f"{name}-{term}") for name, cell in CELLS.items() for term in terms_of(trace(cell))
]


@pytest.mark.parametrize(("cell", "term"), TERMS)
def test_a_planted_error_is_found_and_its_gate_or_state_named(cell, term):
    step = trace(cell)
    problem, gradient = random_problem(cell, seed=41), term.partition(":")[0]
    owners = {f"d{s}'": s for s in step.state} | {f"d{s}": s for s in step.state}
    owners |= {f"{d}_{g}": g for g in (*step.gates, *step.vectors) for d in ("da", "dq", "dW", "dU", "db", "dc", "dv")}
    owners |= {f"d{g}": g for g in step.gates}
    for factor in (-1.0, 0.0, 1.0001):
        wrong = plant(step, term, factor)
        fault = find_fault(problem, wrong.rule, wrong.terms)
        assert fault is not None, factor
        blamed = (*fault.gates, *fault.states, *fault.vectors)
        if gradient in owners:
            assert owners[gradient] in blamed
            # Of one gate, or of a gate that is the new state, dn may be dh' itself.
            same = len(step.gates) == 1 or step.gate.get(owners[gradient]) in step.new.values()
            assert len(blamed) == 1 or same


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_derived_terms_have_no_fault(cell):
    for options in ((), ("reverse",), ("indexed", "no bias")):
        assert find_fault(random_problem(cell, seed=41, options=options), adjoint(trace(cell))) is None


def test_the_fault_is_where_the_term_is_and_not_where_its_error_spreads():
    step = trace(GRU)
    problem = random_problem(GRU, seed=41)

    def fault_of(term):
        wrong = plant(step, term)
        return str(find_fault(problem, wrong.rule, wrong.terms))

    assert fault_of("dn: d_h * (1 - z)") == "dn (gate n)"
    assert fault_of("dr: dq_n * q_n" if "dr: dq_n * q_n" in terms_of(step) else "dr: da_n * q_n") == "dr (gate r)"
    assert fault_of("dU_z: p^T dq_z") == "dU_z (gate z)"
    assert fault_of("dx: da_r W_r^T") == "da_r W_r^T (gate r)"
    assert fault_of("dh: d_h * z") == "dh (state h)"


def test_a_term_is_found_by_the_start_of_its_name_where_that_is_enough():
    assert plant(trace(GRU), "dn").name == "dn: d_h * (1 - z)"


@pytest.mark.parametrize(("name", "message"), [("dz", "names 2 terms"), ("dy", "names no term"), ("d", "no term")])
def test_an_unknown_or_ambiguous_term_name_lists_the_terms(name, message):
    with pytest.raises(ArgumentError, match=message):
        plant(trace(GRU), name)


def test_the_names_of_terms_are_different():
    for cell in CELLS.values():
        assert len(set(terms_of(trace(cell)))) == len(terms_of(trace(cell)))
