"""The only dispatch: which engine runs a call, and why the others do not."""

from dataclasses import dataclass
from typing import Protocol

from tidegate.engines import cpu, eager, reference
from tidegate.engines.call import Call, Result
from tidegate.errors import EngineError


class Engine(Protocol):
    """A module with a name, a predicate, and one function over a whole sequence."""

    @property
    def NAME(self) -> str: ...

    def refuse(self, call: Call) -> str | None:
        """Why this engine cannot run the call, as the end of a sentence; None if it can."""
        ...

    def run(self, call: Call) -> Result:
        """The whole sequence; differentiable by torch."""
        ...


# In order of preference. The reference is an oracle, so it runs only when it is named.
AUTOMATIC: tuple[Engine, ...] = (cpu, eager)
EVERY: tuple[Engine, ...] = (*AUTOMATIC, reference)
ENGINES = {engine.NAME: engine for engine in EVERY}
NAMES = ("auto", *ENGINES)


@dataclass(frozen=True)
class Verdict:
    """Whether one engine can run a call: `refusal` is None, or the reason why not; `chosen` marks the one that will."""

    engine: str
    refusal: str | None
    chosen: bool

    def __str__(self) -> str:
        return f"{'*' if self.chosen else ' '} {self.engine:<10} {self.refusal or 'can run this'}"


class Verdicts(tuple[Verdict, ...]):
    """The verdicts of all engines, one a line when printed; the chosen one has a star."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(map(str, self))


def why(call: Call, engine: str = "auto") -> Verdicts:
    """Every engine, with its reason if it refuses the call; chosen is the one that `dispatch(call, engine)` takes."""
    refusals = {name: able.refuse(call) for name, able in ENGINES.items()}
    candidates = [able.NAME for able in AUTOMATIC] if engine == "auto" else [find(engine).NAME]
    chosen = next((name for name in candidates if refusals[name] is None), None)
    return Verdicts(Verdict(name, refusal, name == chosen) for name, refusal in refusals.items())


def dispatch(call: Call, engine: str = "auto") -> Result:
    """The call on the named engine, or on the first that can run it.

    An engine named explicitly never gives way to another: EngineError says why it cannot run and which ones can.
    """
    if engine == "auto":
        for able in AUTOMATIC:
            if able.refuse(call) is None:
                return able.run(call)
        reasons = "; ".join(f"{e.NAME}: {e.refuse(call)}" for e in AUTOMATIC)
        raise EngineError(f"no engine can run this {call.step.name}: {reasons}.")
    refusal = find(engine).refuse(call)
    if refusal is not None:
        able = ", ".join(v.engine for v in why(call) if v.refusal is None) or "none"
        raise EngineError(f'engine "{engine}" cannot run this {call.step.name}: {refusal}. Engines that can: {able}.')
    return find(engine).run(call)


def find(engine: str) -> Engine:
    """The engine of that name; EngineError lists the names there are."""
    if engine not in ENGINES:
        raise EngineError(f"`engine` must be one of {', '.join(NAMES)}, got {engine!r}.")
    return ENGINES[engine]
