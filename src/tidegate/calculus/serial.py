"""A Step as JSON text: written in one canonical form, and read back with every property checked.

    {"tidegate": "step", "version": 1, "name": "RNN", "gates": ["n"], "state": ["h"], "vectors": [],
     "nodes": [["leaf", "input", "n"], ["leaf", "product", "n"], ["add", 0, 1], ["tanh", 2], ["leaf", "state", "h"]],
     "products": {"n": 4}, "gate": {"n": 3}, "new": {"h": 3}}

`nodes` is the graph of expressions, arguments before their users: ["leaf", kind, name], ["constant", number], or
[operation, indices of earlier nodes ...]. `products` gives the operand of each gate's recurrent product, `gate` and
`new` the values of the gates and the new states, as indices into `nodes`. Reading it runs no code from the text.
"""

import json
from collections.abc import Mapping
from typing import Any

from tidegate.calculus import operations
from tidegate.calculus.expression import Expression, apply, constant, leaf, subgraph
from tidegate.calculus.leaves import KINDS
from tidegate.calculus.step import Step, check_names, make_step
from tidegate.errors import EquationError

VERSION = 1
#: A GRU has 20 nodes and 700 characters.
MOST_NODES, MOST_CHARACTERS = 10_000, 1_000_000
FIELDS = ("tidegate", "version", "name", "gates", "state", "vectors", "nodes", "products", "gate", "new")


def dumps(step: Step) -> str:
    """The Step as canonical JSON: equal steps have equal texts. EquationError for one of more than 10,000 nodes."""
    operands = {g: stage.operand for stage in step.stages for g in stage.gates}
    nodes = subgraph([*operands.values(), *step.gate.values(), *step.new.values()])
    if len(nodes) > MOST_NODES:
        raise EquationError(
            f"{step.name} has {len(nodes):,} operations, too many to be written as JSON: the limit is {MOST_NODES:,}"
        )
    index = {node: i for i, node in enumerate(nodes)}
    content = {
        "tidegate": "step",
        "version": VERSION,
        "name": step.name,
        "gates": step.gates,
        "state": step.state,
        "vectors": step.vectors,
        "nodes": [row(node, index) for node in nodes],
        "products": {g: index[operands[g]] for g in step.products},
        "gate": {g: index[e] for g, e in step.gate.items()},
        "new": {s: index[e] for s, e in step.new.items()},
    }
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def row(node: Expression, index: Mapping[Expression, int]) -> list[Any]:
    if node.op == "leaf":
        return ["leaf", node.kind, node.name]
    if node.op == "constant":
        return ["constant", node.value]
    return [node.op, *(index[arg] for arg in node.args)]


def loads(text: str) -> Step:
    """The Step that `dumps` wrote; `loads(dumps(step)) is step`.

    Raises EquationError for text that is not such JSON, that is larger than 1,000,000 characters or 10,000 nodes, or
    whose content is not that of a cell: unknown operations, kinds or names, a wrong number of arguments, something
    declared and not used.
    """
    content = parse(text)
    name = content["name"]
    if not isinstance(name, str):
        raise bad(f"`name` must be text, got {name!r:.60}")
    declared = {
        field: tuple(content[field]) if isinstance(content[field], list) else content[field]
        for field in ("gates", "state", "vectors")
    }
    gates, state, vectors = declared.values()
    check_names(name, gates, state, vectors)
    rows = content["nodes"]
    if not isinstance(rows, list) or len(rows) > MOST_NODES:
        raise bad(f"`nodes` must be a list of at most {MOST_NODES:,} nodes")
    nodes: list[Expression] = []
    for i, item in enumerate(rows):
        nodes.append(read_node(i, item, nodes, declared))

    def named(field: str, names: tuple[str, ...]) -> dict[str, Expression]:
        found = content[field]
        wanted = set(names) if field != "products" or not isinstance(found, dict) else set(names) & set(found)
        if not isinstance(found, dict) or set(found) != wanted:
            raise bad(f"`{field}` must give a node for each of {', '.join(names)}, got {found!r:.60}")
        return {n: nodes[node_index(f"`{field}` of {n}", i, len(nodes))] for n, i in found.items()}

    operands, gate, new = named("products", gates), named("gate", gates), named("new", state)
    for e in subgraph([*operands.values(), *gate.values(), *new.values()]):
        if e.kind == "product" and e.name not in operands:
            raise bad(f"the product of gate {e.name} is used and has no operand in `products`")
    for n, e in (*gate.items(), *new.items()):
        if e.op == "constant":
            raise bad(f"the value of {n} is the number {e.value:g}; it must depend on something")
    return make_step(name, gates, state, vectors, operands, gate, new)


def parse(text: object) -> dict[str, Any]:
    """The outermost object, with exactly the fields of the format."""
    if not isinstance(text, str):
        raise bad(f"it must be text, got {type(text).__name__}")
    if len(text) > MOST_CHARACTERS:
        raise bad(f"it has {len(text):,} characters, more than the limit of {MOST_CHARACTERS:,}")
    try:
        content = json.loads(text, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise bad(f"it cannot be read as JSON: {error}") from error
    if not isinstance(content, dict) or content.get("tidegate") != "step":
        raise bad('it must be an object with "tidegate": "step"')
    if content.get("version") != VERSION or isinstance(content["version"], bool):
        raise bad(
            f"`version` must be {VERSION}, got {content.get('version')!r:.60}; another version of Tidegate wrote it"
        )
    wrong = [f"has no `{field}`" for field in FIELDS if field not in content]
    wrong += [f"has the unknown field {field!r:.60}" for field in content if field not in FIELDS]
    if wrong:
        raise bad(f"it {wrong[0]}")
    return content


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def read_node(i: int, item: object, nodes: list[Expression], declared: Mapping[str, tuple[str, ...]]) -> Expression:
    """Node i, from its row and the nodes before it."""
    if not isinstance(item, list) or not item or not isinstance(item[0], str):
        raise bad(f"node {i} must be a list that begins with an operation, got {item!r:.60}")
    op, *rest = item
    if op == "leaf":
        return read_leaf(i, rest, declared)
    if op == "constant":
        if len(rest) != 1 or isinstance(rest[0], bool) or not isinstance(rest[0], (int, float)):
            raise bad(f"node {i}, a constant, must have one number, got {rest!r:.60}")
        return constant(rest[0])
    if op not in operations.OPERATIONS:
        raise bad(f"node {i} has the unknown operation {op!r:.60}")
    arity = operations.find(op).arity
    if len(rest) != arity:
        raise bad(f"node {i}, {op}, must have {arity} argument{'s' * (arity > 1)}, got {len(rest)}")
    return apply(op, *(nodes[node_index(f"node {i}, {op}", k, i)] for k in rest))


def read_leaf(i: int, rest: list[Any], declared: Mapping[str, tuple[str, ...]]) -> Expression:
    if len(rest) != 2 or not all(isinstance(part, str) for part in rest):
        raise bad(f"node {i}, a leaf, must have a kind and a name, got {rest!r:.60}")
    kind, name = rest
    field = KINDS[kind].declared if kind in KINDS else None
    if field is None:
        known = ", ".join(k for k, described in KINDS.items() if described.declared)
        raise bad(f"node {i}, a leaf, must be of the kind {known}, got {kind!r:.60}")
    if name not in declared[field]:
        raise bad(f"node {i}: {name!r:.60} is not declared; {field} = {declared[field]}")
    return leaf(kind, name)


def node_index(what: str, index: object, end: int) -> int:
    """The index of a node, which must be one of those before `end`."""
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < end:
        raise bad(f"{what}: {index!r:.60} is not the index of a node before it (0 to {end - 1})")
    return index


def bad(problem: str) -> EquationError:
    return EquationError(f"the JSON of a step is not valid: {problem}.")
