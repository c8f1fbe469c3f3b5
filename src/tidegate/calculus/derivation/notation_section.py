"""The table of letters: this derivation's, those of both textbooks and where torch keeps the parameters."""

from collections.abc import Callable, Iterator, Sequence

from tidegate.calculus.derivation.formula import Apply, Formula, Name, Number, Product, Relation, total, upright
from tidegate.calculus.derivation.notation import NOTATIONS, Notation, index_of
from tidegate.calculus.derivation.parts import Part, Section, Table, Words
from tidegate.calculus.derivation.roles import is_gate, keepers, new_state_of
from tidegate.calculus.derivation.setting import Setting

Letter = Callable[[Notation], Formula | None]


def notation_section(setting: Setting) -> Section:
    step, notation = setting.step, setting.notation
    others = [kind(step) for name, kind in NOTATIONS.items() if name != notation.name]
    head = [setting.words("symbol"), setting.words("meaning"), setting.words("shape")]
    head += [setting.words(f"in {other.name}") for other in others]
    body: list[Part] = [setting.sentence("orientation of rows" if notation.rows else "orientation of columns")]
    rows = []
    for letter, meaning, shape in letters(setting):
        own = letter(notation)
        if own is not None:
            rows.append(((own,), meaning, (shape,), *(cell(letter(other)) for other in others)))
    body.append(Table(tuple(head), tuple(rows)))
    body.append(setting.sentence("indices", K=setting.words("steps back")))
    body.append(
        setting.sentence(
            "element by element", product=Product((Name("u"), Name("w"))), diag=Apply("diag", (Name("u"),))
        )
    )
    if "c" in step.state and step.products and not notation.nets:
        body.append(
            setting.sentence("two c", state=notation.value("c"), bias=notation.c(notation.sub(step.products[0])))
        )
    if not step.products:
        body.append(setting.sentence("no product"))
    body += conventions(setting)
    return setting.section("notation", body)


def cell(letter: Formula | None) -> Words:
    return ("–",) if letter is None else (upright(letter),)


def letters(setting: Setting) -> Iterator[tuple[Letter, Words, str]]:
    """(letter, meaning, shape) of everything that the derivation mentions."""
    step, notation, words = setting.step, setting.notation, setting.words
    vector = "B × H" if notation.rows else "H"

    def shape(rows: str, columns: str) -> str:
        return f"{columns} × {rows}" if notation.rows else f"{rows} × {columns}"

    yield lambda n: n.x(), words("input"), vector.replace("H", "D")
    for s in step.state:
        yield lambda n, s=s: n.value(s), words("output state" if s == step.state[0] else "state"), vector
    for g in step.gates:
        if new_state_of(step, g) is None:
            yield lambda n, g=g: n.value(g), label(setting, g), vector
    if notation.nets:
        yield from each(setting, lambda n, sub: n.pre(sub) if n.nets else None, words("net input"), vector)
    else:
        yield from each(setting, lambda n, sub: None if n.nets else n.pre(sub), words("input term"), vector)
        if step.products:
            yield from each(setting, lambda n, sub: None if n.nets else n.product(sub), words("product term"), vector)
    yield from each(setting, lambda n, sub: upright(n.W(sub)), words("W"), shape("H", "D"), step.inputs)
    yield from each(setting, lambda n, sub: upright(n.U(sub)), words("U"), shape("H", "H"), step.products)
    yield from biases(setting)
    for v in step.vectors:
        yield lambda n, v=v: n.v(v), words("v"), "H"
    yield lambda n: upright(n.V()), words("V"), shape("C", "H")
    yield lambda n: n.output_bias(), words("output bias"), "C"
    for make, key in (("logits", "logits"), ("prediction", "prediction"), ("target", "target")):
        yield lambda n, make=make: getattr(n, make)(), words(key), "B × C" if notation.rows else "C"
    yield lambda n: n.loss(0), words("loss of a step"), ""
    yield lambda n: n.loss(), words("loss"), ""
    yield lambda n: n.gradient(n.value(step.state[0])), words("gradient"), vector
    meaning = words("error term", of=notation.pre(first_sub(setting, notation)))
    yield from each(setting, lambda n, sub: n.pre_error(sub), meaning, vector)
    if setting.full:
        yield from each(setting, lambda n, sub: n.pre_error(sub, "k", 0), words("error term of one loss"), vector)


def biases(setting: Setting) -> Iterator[tuple[Letter, Words, str]]:
    """The gates whose two biases are printed as one, then the biases of the other input terms and products."""
    step, notation, words = setting.step, setting.notation, setting.words
    one = [g for g in step.gates if notation.merged(g)]
    inputs, products = ([g for g in gates if g not in one] for gates in (step.inputs, step.products))
    yield from each(
        setting, lambda n, sub: n.b(sub) if n.nets else total([n.b(sub), n.c(sub)]), words("b, one"), "H", one
    )
    yield from each(setting, lambda n, sub: n.b(sub), words("b"), "H", inputs)
    why = "c, apart" if notation.nets else "c"
    yield from each(
        setting, lambda n, sub: n.c(sub) if notation.nets or not n.nets else None, words(why), "H", products
    )


def first_sub(setting: Setting, notation: Notation) -> str:
    gates = setting.step.inputs
    return notation.sub(gates[0]) if len(gates) == 1 else index_of(setting.step)


def each(
    setting: Setting,
    letter: Callable[[Notation, str], Formula | None],
    meaning: Words,
    shape: str,
    gates: Sequence[str] | None = None,
) -> Iterator[tuple[Letter, Words, str]]:
    """One row for the letter of any of these gates, or of the only one; all gates by default."""
    gates = setting.step.gates if gates is None else gates
    if len(gates) == 1:
        yield lambda n: letter(n, n.sub(gates[0])), meaning, shape
    elif gates:
        index = index_of(setting.step)
        if len(gates) < len(setting.step.gates):
            subs, language = [setting.notation.sub(g) for g in gates], setting.language
            meaning = (*meaning, f"{language.semicolon}{index} = {language.comma.join(subs)}")
        yield lambda n: letter(n, index), meaning, shape


def label(setting: Setting, g: str) -> Words:
    """What the cell's docstring calls the gate; otherwise a gate or a candidate."""
    found = setting.label(g)
    if found is not None:
        return (found,)
    return setting.words("a gate" if is_gate(setting.step, g) else "a candidate")


def conventions(setting: Setting) -> list[Part]:
    """For every gate that alone keeps a state: at which value, and which publications use the other convention."""
    notation, body = setting.notation, list[Part]()
    for g, value, s in keepers(setting.step):
        z = notation.value(g)
        body.append(
            setting.sentence(
                "keep" if value else "write",
                kept=Relation(z, Number(value)), replaced=Relation(z, Number(1 - value)), gate=z,
                state=notation.value(s, -1),
            )
        )  # fmt: skip
        if g in setting.swapped:
            body.append(setting.sentence("swapped", cell=setting.step.name, gate=z))
    return body
