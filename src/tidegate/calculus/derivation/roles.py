"""What the gates of a step are used for: gates proper, candidates, and update gates in two conventions."""

from collections.abc import Iterator

from tidegate.calculus.expression import Expression, subgraph
from tidegate.calculus.ranges import range_of
from tidegate.calculus.step import Step, make_step
from tidegate.calculus.substitution import substitute


def everything(step: Step) -> list[Expression]:
    """Every expression of the step."""
    return subgraph([*step.new.values(), *step.gate.values(), *(stage.operand for stage in step.stages)])


def is_gate(step: Step, g: str) -> bool:
    """Whether g is a gate proper: between 0 and 1, and a factor of a product. Otherwise it is a candidate."""
    e = step.gate[g]
    if range_of(e) != (0.0, 1.0) or e in step.new.values():
        return False
    factors = {arg for node in everything(step) if node.op == "mul" for arg in node.args}
    return e in factors or 1 - e in factors


def new_state_of(step: Step, g: str) -> str | None:
    """The state whose new value is the value of g, as in h = n of the plain RNN."""
    return next((s for s, e in step.new.items() if e is step.gate[g]), None)


def candidates(step: Step) -> dict[str, str]:
    """The candidates that one state alone has, with that state: {"n": "h"} for the GRU, {"g": "c"} for the LSTM."""
    order = sorted(step.state, key=lambda s: len(subgraph([step.new[s]])))
    found: dict[str, str] = {}
    for g, e in step.gate.items():
        if not is_gate(step, g) and new_state_of(step, g) is None:
            state = next((s for s in order if e in subgraph([step.new[s]])), None)
            if state is not None:
                found[g] = state
    return {g: s for g, s in found.items() if list(found.values()).count(s) == 1}


def keepers(step: Step) -> Iterator[tuple[str, int, str]]:
    """(gate, value, state) for every update gate: at one value, 0 or 1, it alone keeps a state unchanged, and at the
    other it replaces it, so that the old state reaches the new one through recurrent products only."""
    for g, e in step.gate.items():
        if is_gate(step, g):
            for value in (1, 0):
                kept, replaced = (substitute(list(step.new.values()), {e: v}) for v in (value, 1 - value))
                for s, same, other in zip(step.state, kept, replaced):
                    if same is step.old[s] and step.old[s] not in subgraph([other]):
                        yield g, value, s


def in_convention(step: Step, convention: str) -> Step:
    """The step with every update gate g in the convention "keep" (g = 1 keeps the state) or "write" (g = 0 does).

    A gate of the other convention is replaced by 1 - g. The function is the same if its weights and biases change their
    sign, because sigmoid(-x) = 1 - sigmoid(x).
    """
    wanted = 1 if convention == "keep" else 0
    swapped = {g: step.gate[g] for g, value, _ in keepers(step) if value != wanted}
    if not swapped:
        return step
    both = {e: 1 - e for e in swapped.values()} | {1 - e: e for e in swapped.values()}
    operands = {g: stage.operand for stage in step.stages for g in stage.gates}
    others = {g: e for g, e in step.gate.items() if g not in swapped}
    groups = (operands, others, dict(step.new))
    found = iter(substitute([e for group in groups for e in group.values()], both))
    operands, others, new = ({name: next(found) for name in group} for group in groups)
    return make_step(step.name, step.gates, step.state, step.vectors, operands, others | swapped, new)
