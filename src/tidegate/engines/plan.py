"""The plan of a step, for any back end: what is computed after each matrix product, and in which buffer it is kept.

A step with K products runs in phases. Each phase follows one product (the first phase of the backward pass follows
none), reads its result and other values from buffers, and writes the values it computes to buffers. A `Place` is a
block of H numbers in a buffer. The buffers of a row, which is one sequence at one step, are

    forward                                         backward
    a     projected inputs, by `step.inputs`        dq    gradients of products, by stage; then other da, then dv
    q     the product just computed, by gate        dp    the product just computed
    old   states before the step                    carry gradients with respect to the states
    new   states after it                           gate  incoming gradients with respect to gates
    gate  gate values that are outputs
    saved values for the backward pass              cross values that only later phases of the same step read
    operand  left operands of products
    v     per-unit vectors
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from tidegate.calculus import Adjoint, Step, adjoint
from tidegate.calculus.adjoint import is_cheap
from tidegate.calculus.expression import Expression, subgraph


@dataclass(frozen=True)
class Place:
    buffer: str
    block: int = 0


@dataclass(frozen=True, eq=False)
class Phase:
    """Element-wise computation: load the values of `load`, compute and store those of `store`."""

    load: Mapping[Expression, Place]
    store: tuple[tuple[Place, Expression], ...]


@dataclass(frozen=True, eq=False)
class Forward:
    """`lead` computes the operand of stage 0 unless that is a state; phase k follows the product of stage k."""

    step: Step
    traced: bool
    lead: Phase | None
    phases: tuple[Phase, ...]
    saved: int
    cross: int


@dataclass(frozen=True, eq=False)
class Backward:
    """Phase 0 begins a step, phase i follows the product of stage K - i, and the last phase ends the step.

    `dq[g]` and `da[g]` are the blocks of a gate in the buffer dq, `dv[n]` that of a vector; the blocks of the gates of
    a stage are consecutive.
    """

    step: Step
    traced: bool
    phases: tuple[Phase, ...]
    dq: Mapping[str, int]
    da: Mapping[str, int]
    dv: Mapping[str, int]
    blocks: int
    saved: int
    cross: int


class Schedule:
    """Distributes expressions over phases, each as early as its products allow.

    `leaves` are values in memory, `products` the results of products with the first phase in which they exist. A value
    that a later phase needs is computed again there if that is cheap, and otherwise kept, in its own place or in
    `cross`.
    """

    def __init__(
        self, count: int, leaves: Mapping[Expression, Place], products: Mapping[Expression, tuple[int, Place]]
    ):
        self.leaves, self.products = leaves, products
        self.loads: list[dict[Expression, Place]] = [{} for _ in range(count)]
        self.stores: list[dict[Place, Expression]] = [{} for _ in range(count)]
        self.kept: dict[Expression, Place] = {}
        self.cross = 0
        self._level: dict[Expression, int] = {}

    def level(self, root: Expression) -> int:
        """The first phase in which the value exists."""
        for node in subgraph([root], {**self.leaves, **self._level}):
            if node in self.products:
                self._level[node] = self.products[node][0]
            elif node not in self._level:
                below = () if node in self.leaves else node.args
                self._level[node] = max((self._level[arg] for arg in below), default=0)
        return self._level[root]

    def add(self, place: Place, value: Expression) -> None:
        self.stores[self.level(value)][place] = value
        if place.buffer in ("saved", "operand", "cross"):
            self.kept.setdefault(value, place)

    def finish(self) -> tuple[Phase, ...]:
        for k in reversed(range(len(self.loads))):
            visited: set[Expression] = set()
            stack = list(self.stores[k].values())
            while stack:
                node = stack.pop()
                if node not in visited:
                    visited.add(node)
                    stack += self._needed(node, k)
        return tuple(Phase(load, tuple(store.items())) for load, store in zip(self.loads, self.stores))

    def _needed(self, node: Expression, k: int) -> tuple[Expression, ...]:
        """The values from which phase k computes `node`; none if it loads `node`, which is then recorded."""
        if node in self.leaves:
            self.loads[k][node] = self.leaves[node]
        elif self.level(node) == k:
            if node not in self.products:
                return node.args
            self.loads[k][node] = self.products[node][1]
        elif node in self.kept or node in self.products or not (node.op == "constant" or is_cheap(node)):
            self.loads[k][node] = self._keep(node)
        else:
            return node.args
        return ()

    def _keep(self, node: Expression) -> Place:
        if node not in self.kept:
            self.add(Place("cross", self.cross), node)
            self.cross += 1
        return self.kept[node]


def saved_places(backstep: Adjoint, *, ragged: bool) -> dict[Expression, Place]:
    """Where the backward pass finds the forward values it needs. States of all steps are stored anyway; with
    `ragged` sequences a state may be reset after the step, so new states are saved in addition."""
    step = backstep.step
    own = {e: Place("old", i) for i, e in enumerate(step.old.values())}
    if not ragged:
        own = {e: Place("new", i) for i, e in enumerate(step.new.values())} | own
    places = {e: place for e, place in own.items() if e in backstep.saved}
    for e in backstep.saved:
        places.setdefault(e, Place("saved", sum(p.buffer == "saved" for p in places.values())))
    return places


@cache
def forward_plan(step: Step, *, save: bool, ragged: bool, traced: bool) -> Forward:
    """The plan of a forward step; with `save` it keeps what the backward step needs."""
    vectors = {e: Place("v", i) for i, e in enumerate(step.v.values())}
    leaves = {e: Place("old", i) for i, e in enumerate(step.old.values())} | vectors
    leaves |= {e: Place("a", i) for i, e in enumerate(step.a.values())}
    products = {step.q[g]: (k, Place("q", i)) for k, stage in enumerate(step.stages) for i, g in enumerate(stage.gates)}
    schedule = Schedule(max(len(step.stages), 1), leaves, products)
    slots = 0
    if save:
        for e, place in saved_places(adjoint(step, of_gates=traced), ragged=ragged).items():
            if place.buffer == "saved":
                schedule.add(place, e)
                slots += 1
    lead = None
    for k, stage in enumerate(step.stages):
        if k:
            schedule.add(Place("operand", k), stage.operand)
        elif stage.operand not in step.old.values():
            first = Schedule(1, leaves, {})
            first.add(Place("operand", 0), stage.operand)
            (lead,) = first.finish()
    for s, e in enumerate(step.new.values()):
        schedule.stores[-1][Place("new", s)] = e
    for g, e in enumerate(step.gate.values()):
        if traced:
            schedule.add(Place("gate", g), e)
    return Forward(step, traced, lead, schedule.finish(), slots, schedule.cross)


@cache
def backward_plan(step: Step, *, ragged: bool, traced: bool) -> Backward:
    """The plan of a backward step."""
    backstep = adjoint(step, of_gates=traced)
    K = len(step.stages)
    leaves: dict[Expression, Place] = {e: Place("v", i) for i, e in enumerate(step.v.values())}
    leaves |= (places := saved_places(backstep, ragged=ragged))
    leaves |= {e: Place("carry", i) for i, e in enumerate(backstep.d_new.values())}
    if traced:
        leaves |= {e: Place("gate", i) for i, e in enumerate(backstep.d_gate.values())}
    schedule = Schedule(K + 1, leaves, {e: (K - k, Place("dp")) for k, e in enumerate(backstep.d_p)})
    blocks = 0
    dq: dict[str, int] = {}
    for stage in step.stages:
        for g in stage.gates:
            schedule.add(Place("dq", blocks), backstep.dq[g])
            dq[g], blocks = blocks, blocks + 1
    da: dict[str, int] = {}
    for g, e in backstep.da.items():
        if g in dq and backstep.dq[g] is e:
            da[g] = dq[g]
        else:
            schedule.add(Place("dq", blocks), e)
            da[g], blocks = blocks, blocks + 1
    dv: dict[str, int] = {}
    for n, e in backstep.dv.items():
        schedule.add(Place("dq", blocks), e)
        dv[n], blocks = blocks, blocks + 1
    for k, stage in enumerate(step.stages):
        if stage.operand not in step.old.values():
            schedule.stores[0][Place("operand", k)] = stage.operand
    for s, e in enumerate(backstep.d_old.values()):
        schedule.stores[-1][Place("carry", s)] = e
    saved = sum(place.buffer == "saved" for place in places.values())
    return Backward(step, traced, schedule.finish(), dq, da, dv, blocks, saved, schedule.cross)


def operand_state(step: Step, stage: int) -> int | None:
    """The index of the state that is the left operand of a stage's product, or None if it is another expression."""
    states: Sequence[Expression] = tuple(step.old.values())
    operand = step.stages[stage].operand
    return states.index(operand) if operand in states else None
