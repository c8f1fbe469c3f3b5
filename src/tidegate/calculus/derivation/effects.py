"""The Jacobian with each gate at 1 and at 0, and with each candidate saturated."""

from tidegate.calculus.derivation.formula import Name, Number, Relation
from tidegate.calculus.derivation.parts import Part, Sentence, Words
from tidegate.calculus.derivation.paths import block_lines, routes
from tidegate.calculus.derivation.roles import is_gate
from tidegate.calculus.derivation.setting import Setting
from tidegate.calculus.jacobian import Jacobian


def gate_effects(setting: Setting) -> list[Part]:
    """The blocks that change when one gate is held at 1 or 0 or one candidate is saturated."""
    step, notation = setting.step, setting.notation
    J = routes(step)
    held = {e: e for e in (*step.gate.values(), *step.new.values())}
    body: list[Part] = []
    for g, e in step.gate.items():
        name = notation.value(g)
        if is_gate(step, g) and e.op == "sigmoid":
            for value in (1, 0):
                words = setting.words("held", role=setting.role(g), equation=Relation(name, Number(value)))
                body += changed(setting, J, J.replaced(held | {e: value}), words)
        elif e.op == "tanh":
            words = setting.words("saturated", role=setting.role(g), equation=Relation(name, Name("±1")))
            body += changed(setting, J, J.replaced(held | {1 - e * e: 0}), words)
    if body and len(J.blocks) > 1:
        body.insert(0, setting.sentence("blocks that change"))
    return body


def changed(setting: Setting, J: Jacobian, other: Jacobian, words: Words) -> list[Part]:
    lines = [
        line
        for key, paths in other.blocks.items()
        if paths != J.blocks[key]
        for line in block_lines(setting, other, key)
    ]
    return [Sentence(words), *lines] if lines else []
