"""The sentences of a diagram: its title, its description and its legend."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tidegate.calculus.derivation.formula import Name
from tidegate.calculus.derivation.notation import Notation
from tidegate.calculus.diagram.flow import Flow
from tidegate.calculus.diagram.letters import letter


@dataclass(frozen=True)
class Sentences:
    """With places in braces. `matrix` is for columns, `matrix_right` for rows; `either` stands between two letters."""

    title: str
    part: str
    equations: str
    inputs: str
    separator: str
    box: str
    matrix: str
    matrix_right: str
    circle: str
    vector: str
    minus: str
    either: str


SENTENCES: Mapping[str, Sentences] = MappingProxyType({
    "en": Sentences(
        title="Data flow of {part}one step of the cell {cell}",
        part="{names} of ",
        equations="The equations{inputs}: {equations}.",
        inputs=", with a = W x + b for each gate",
        separator="; ",
        box="Box: the sum of its inputs, then the function. ",
        matrix="{letters} on an arrow: multiply by this matrix, add its bias.",
        matrix_right="{letters} on an arrow: multiply by this matrix on the right, add its bias.",
        circle="Circle: element by element. Dot: the value is used more than once.",
        vector="v on an arrow: multiply by this learned vector, element by element.",
        minus="− on an arrow: subtract.",
        either=" or ",
    ),
    "zh": Sentences(
        title="单元 {cell} 一步的数据流{part}",
        part="：{names}",
        equations="方程{inputs}：{equations}。",
        inputs="（每个门 a = W x + b）",
        separator="；",
        box="方框：各输入相加，再作用以函数。",
        matrix="箭头上的 {letters}：乘以这个矩阵，再加偏置。",
        matrix_right="箭头上的 {letters}：右乘这个矩阵，再加偏置。",
        circle="圆圈：逐元素运算。圆点：这个值用了不止一次。",
        vector="箭头上的 v：逐元素乘以这个可学习的向量。",
        minus="箭头上的 −：减去。",
        either=" 或 ",
    ),
})  # fmt: skip


def legend_of(drawn: Flow, notation: Notation, sentences: Sentences) -> Iterator[str]:
    """What the boxes, circles and labels of this diagram mean."""
    weights = [letter(make("g")).letter for make in (notation.W, notation.U)]
    matrix = sentences.matrix_right if notation.rows else sentences.matrix
    yield sentences.box + matrix.format(letters=sentences.either.join(dict.fromkeys(weights)))
    if any(node.kind == "operation" for node in drawn.nodes):
        yield sentences.circle
    labels = {arrow.label.letter if isinstance(arrow.label, Name) else arrow.label for arrow in drawn.arrows}
    yield from (line for label, line in (("v", sentences.vector), ("−", sentences.minus)) if label in labels)
