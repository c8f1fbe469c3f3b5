"""The forward derivative of a step, against central differences and against the slopes of the adjoint."""

import numpy as np
import pytest

from tidegate.calculus import evaluate, trace
from tidegate.calculus.tangent import tangent
from tidegate.cells import CELLS
from tidegate.engines.reference.functions import OPERATIONS

H = 7


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_slopes_are_the_partial_derivatives_by_central_differences(cell):
    step = trace(cell)
    rule = tangent(step)
    random = np.random.default_rng(0)
    leaves = [*step.a.values(), *step.q.values(), *step.old.values(), *step.v.values()]
    given = {x: random.standard_normal(H) for x in leaves}
    values = [stage.operand for stage in step.stages] + list(step.new.values()) + list(step.gate.values())
    slopes = [*rule.operands, *rule.new.values(), *rule.gates.values()]
    for value, own in zip(values, slopes, strict=True):
        for x in leaves:
            e = 1e-6
            up, down = (evaluate([value], given | {x: given[x] + s * e}, OPERATIONS)[0] for s in (1, -1))
            difference = (up - down) / (2 * e) + np.zeros(H)
            found = evaluate([own[x]], given, OPERATIONS)[0] if x in own else 0
            np.testing.assert_allclose(found + np.zeros(H), difference, atol=2e-9)


def test_expressions_are_listed_once():
    found = tangent(trace(CELLS["lstm"])).expressions()
    assert len(found) == len(set(found)) > 5
