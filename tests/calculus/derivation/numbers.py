"""The numbers of a derivation by autograd of the cell's own equations, and the value of every printed formula."""

import re
from dataclasses import replace

import torch
from torch.nn import functional

from tidegate.calculus.derivation import formula as F
from tidegate.calculus.derivation.formula import upright
from tidegate.calculus.derivation.parts import Equation, Sentence
from tidegate.verification.direct import by_name, unroll_moments
from tidegate.verification.problem import random_problem

T, D, H, C = 4, 2, 3, 3
#: Biases with which a gate is 0 or 1, and a candidate 1, in every digit of float64.
SATURATED = {0: -1000.0, 1: 1000.0}


class Numbers:
    """Every name of a derivation at every step of a sequence, and every gradient, for the total loss and each loss.

    `cell` is what runs: the class, or the step if its update gates were replaced. `held` sets gates to 0 or 1.
    """

    def __init__(self, cell, notation, held=()):
        self.notation, self.step = notation, notation.step
        problem = random_problem(cell, sizes=(T, 1, D, H), seed=51)
        call = problem.call
        with torch.no_grad():
            for g, value in dict(held).items():
                names, bias = (
                    (self.step.inputs, call.weights.b_ih)
                    if g in self.step.inputs
                    else (self.step.products, call.weights.b_hh)
                )
                by_name(bias, names, H)[g].fill_(SATURATED[value])
        random = torch.Generator().manual_seed(52)
        self.V = torch.randn(C, H, generator=random, dtype=torch.float64, requires_grad=True)
        self.bias = torch.randn(C, generator=random, dtype=torch.float64, requires_grad=True)
        self.targets = torch.randint(C, (T,), generator=random)
        result, self.moments = unroll_moments(call, cell)
        self.logits = [self.V @ result.outputs[t, 0] + self.bias for t in range(T)]
        self.losses = [functional.cross_entropy(u, y) for u, y in zip(self.logits, self.targets)]
        self.env = {}
        self.parameters = self.read_parameters(call.weights)
        self.values = dict(self.read_values(call))
        for name, tensor in (*self.parameters.items(), *self.values.items()):
            self.env[name] = self.shaped(name, tensor)
        if not held:  # what is printed for held gates has no gradients
            self.read_gradients()
        self.read_jacobians()
        for t in range(1, T + 1):
            for g in self.step.gates if notation.nets else ():
                name = notation.input_term(g, str(t))
                if name not in self.env:  # a net input is defined by its equation; the gate's value then checks it
                    formula = notation.net_formula(g, str(t))
                    self.env[name] = self.of(formula, {}) if not notation.rows else self.of(formula, {}, columns=True).T

    def shaped(self, name, tensor):
        """A value as a column, or as a row; weights that stand on the right transposed."""
        tensor = tensor.detach()
        if tensor.dim() == 0:
            return tensor
        if tensor.dim() == 1:
            return tensor[None, :] if self.notation.rows else tensor[:, None]
        return tensor.T if self.notation.rows else tensor

    def read_parameters(self, w):
        n, step = self.notation, self.step
        found = {upright(n.V()): self.V, n.output_bias(): self.bias}
        self.leaves = {upright(n.V()): (self.V, None), n.output_bias(): (self.bias, None)}
        bias = {g: by_name(w.b_ih, step.inputs, H)[g] for g in step.inputs}
        extra = by_name(w.b_hh, step.products, H)
        for g in step.products:
            if n.merged(g):
                bias[g] = bias[g] + extra[g]
            else:
                self.add(n.c(n.sub(g)), w.b_hh, step.products, g, found, extra[g])
        for g in step.inputs:
            self.add(upright(n.W(n.sub(g))), w.w_ih, step.inputs, g, found)
            self.add(n.b(n.sub(g)), w.b_ih, step.inputs, g, found, bias[g])
        for g in step.products:
            self.add(upright(n.U(n.sub(g))), w.w_hh, step.products, g, found)
        for v in step.vectors:
            self.add(n.v(v), w.vectors, step.vectors, v, found)
        return found

    def add(self, name, packed, names, g, found, value=None):
        found[name] = by_name(packed, names, H)[g] if value is None else value
        self.leaves[name] = (packed, (names, g))

    def read_values(self, call):
        n, step = self.notation, self.step
        for s, tensor in zip(step.state, call.states):
            yield n.value(s, "0"), tensor[0]
        for t, m in enumerate(self.moments, 1):
            time = str(t)
            yield n.x(time), call.x[t - 1, 0]
            for name, tensor in (*m.gate.items(), *m.new.items()):
                yield n.value(name, time), tensor[0]
            for g in step.products:
                if not n.nets:
                    yield n.product(n.sub(g), time), m.q[g][0]
                elif g not in step.a:
                    yield n.input_term(g, time), m.q[g][0]
            if not n.nets:
                for g in step.inputs:
                    yield n.input_term(g, time), m.a[g][0]
            yield n.logits(time), self.logits[t - 1]
            yield n.prediction(time), torch.softmax(self.logits[t - 1], 0)
            yield n.target(time), functional.one_hot(self.targets[t - 1], C).double()
            yield n.loss(time), self.losses[t - 1]
        yield n.loss(), sum(self.losses)

    def tensors(self, t):
        """(name, its gradient's name for a loss) -> the tensor of step t with respect to which gradients are taken."""
        n, m, time = self.notation, self.moments[t - 1], str(t)
        for name, tensor in (*m.gate.items(), *m.new.items()):
            yield tensor, lambda loss, name=name: n.gradient(n.value(name, time), loss), n.value(name, time)
        for g in self.step.inputs:
            yield m.a[g], lambda loss, g=g: n.pre_error(n.sub(g), time, loss), n.input_term(g, time)
        for g in self.step.products:
            if not n.nets:
                q = n.product(n.sub(g), time)
                yield m.q[g], lambda loss, q=q: n.gradient(q, loss), q
            elif g not in self.step.a:
                yield m.q[g], lambda loss, g=g: n.pre_error(n.sub(g), time, loss), n.input_term(g, time)
        yield self.logits[t - 1], lambda loss: n.gradient(n.logits(time), loss), n.logits(time)

    def read_gradients(self):
        n = self.notation
        losses = {None: sum(self.losses)} | {str(t): self.losses[t - 1] for t in range(1, T + 1)}
        starts = {n.value(s, "0"): m for s, m in self.moments[0].old.items()}
        for which, loss in losses.items():
            for t in range(1, T + 1):
                for tensor, gradient, of in self.tensors(t):
                    d = self.shaped(of, self.grad(loss, tensor).flatten())
                    self.env[gradient(which)] = self.env[F.Partial(n.loss(which), of)] = d
                x = self.moments[t - 1].x
                d = sum(self.grad(loss, x[g])[0] for g in self.step.inputs)
                self.env[F.Partial(n.loss(which), n.x(str(t)))] = self.shaped(None, d)
            for of, tensor in starts.items():
                self.env[F.Partial(n.loss(which), of)] = self.shaped(of, self.grad(loss, tensor)[0])
            if which is not None and len(self.step.state) > 1:
                self.read_joint(which, loss)
            for name, (packed, block) in self.leaves.items():
                d = self.grad(loss, packed)
                d = d if block is None else by_name(d, block[0], H)[block[1]]
                self.env[F.Partial(n.loss(which), name)] = self.shaped(name, d)

    def read_joint(self, which, loss):
        """The gradient of the loss of step t with respect to all states that a step hands to the next, until t."""
        n, t = self.notation, int(which)
        direct = self.grad(loss, self.moments[t - 1].new[self.step.state[0]])[0]
        zeros = [torch.zeros_like(direct)] * (len(self.step.state) - 1)
        self.env[F.Partial(n.loss(which), n.states(which))] = self.shaped(None, torch.cat([direct, *zeros]))
        for earlier in range(t):
            joint = torch.cat([self.grad(loss, m)[0] for m in self.moments[earlier].old.values()])
            self.env[F.Partial(n.loss(which), n.states(str(earlier)))] = self.shaped(None, joint)

    def grad(self, y, x):
        return torch.autograd.grad(y, x, retain_graph=True, allow_unused=True, materialize_grads=True)[0]

    def read_jacobians(self):
        n, step = self.notation, self.step
        for t in range(1, T + 1):
            for K in range(1, t + 1):
                blocks = {
                    (new, old): self.jacobian(self.moments[t - 1].new[new], self.moments[t - K].old[old])
                    for new in step.state
                    for old in step.state
                }
                whole = torch.cat([torch.cat([blocks[a, b] for b in step.state], 1) for a in step.state])
                self.env[F.Partial(n.states(str(t)), n.states(str(t - K)))] = whole
                if K == 1:
                    self.env[n.J(str(t))] = whole
                    for (new, old), block in blocks.items():
                        self.env[n.J(str(t), new, old)] = block
                        self.env[F.Partial(n.value(new, str(t)), n.value(old, str(t - 1)))] = block

    def jacobian(self, y, x):
        return torch.cat([self.grad(entry, x) for entry in y[0]])

    def of(self, f, index, columns=False):
        """The number that a formula stands for: a column, a row, a matrix or a number.

        `index` has the values of t, k, K, and the subscript that an index letter stands for. `columns`: the formula is
        one of columns although the notation has rows.
        """
        if columns:
            from tidegate.calculus.derivation.rows import turn

            return self.of(turn(f), index).T

        def value(f):
            match f:
                case F.Name("I", "", None):
                    return torch.eye(H, dtype=torch.float64)
                case F.Name("1", "", None):
                    ones = torch.ones(C, 1, dtype=torch.float64)
                    return ones.T if self.notation.rows else ones
                case F.Name() | F.Partial():
                    return self.env[resolved(f, index)]
                case F.Number():
                    return torch.tensor(f.value, dtype=torch.float64)
                case F.Sum():
                    return sum(sign * value(term) for sign, term in f.terms)
                case F.Product():
                    return self.product(f, list(map(value, f.factors)))
                case F.Quotient():
                    return value(f.top) / value(f.bottom)
                case F.Square():
                    return value(f.base) ** 2
                case F.Power():
                    return power(value(f.base), f.exponent, index)
                case F.Transpose():
                    return value(f.base).T
                case F.Norm():
                    return norm(f.kind, value(f.base))
                case F.Apply("diag"):
                    return torch.diag(value(f.arguments[0]).flatten())
                case F.Apply("softmax"):
                    return torch.softmax(value(f.arguments[0]).flatten(), 0).reshape(value(f.arguments[0]).shape)
                case F.Apply():
                    return FUNCTIONS[f.function](*map(value, f.arguments))
                case F.Over():
                    low, high = (time_of(bound, index | {"T": T}) for bound in (f.low, f.high))
                    each = [self.of(f.body, index | {f.index: i}) for i in range(low, high + 1)]
                    return sum(each) if f.kind == "sum" else self.product(F.Product((), matrix=True), each)
                case F.Matrix():
                    return torch.cat([torch.cat([value(cell) for cell in row], 1) for row in f.rows])
            raise NotImplementedError(f)

        return value(f)

    def product(self, f, factors):
        result = factors[0]
        for factor in factors[1:]:
            numbers = result.numel() == 1 or factor.numel() == 1
            result = result @ factor if f.matrix and not numbers else result * factor
        return result


FUNCTIONS = {
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "exp": torch.exp, "log": torch.log,
    "softplus": functional.softplus, "abs": torch.abs, "sqrt": torch.sqrt, "max": torch.maximum, "sign": torch.sign,
    "step": lambda x: (x > 0).double(), "det": torch.linalg.det,
    "ρ": lambda J: torch.linalg.eigvals(J).abs().max(),
}  # fmt: skip


def norm(kind, x):
    if kind in ("max", "min", "abs"):
        return {"max": torch.max, "min": torch.min, "abs": torch.max}[kind](x.abs())
    singular = torch.linalg.svdvals(x)
    return singular[0] if kind == "2" else singular[-1]


def power(x, exponent, index):
    if exponent == "K":
        return torch.linalg.matrix_power(x, index["K"]) if x.dim() == 2 else x ** index["K"]
    size = re.fullmatch(r"1/\(?(\d*)H\)?", exponent)
    return x ** (1 / (H * int(size[1] or 1)))


def time_of(text, index):
    """The number of a time such as "t-k" or "k+1"."""
    return sum((-1 if sign == "-" else 1) * (int(word) if word.isdigit() else index[word])
               for sign, word in re.findall(r"([+-]?)(\w+)", text))  # fmt: skip


def resolved(f, index):
    """A name with its times as numbers, and the subscript for the index letter."""
    if isinstance(f, F.Partial):
        return F.Partial(resolved(f.top, index), resolved(f.bottom, index))
    if isinstance(f.time, int):
        f = replace(f, time=str(index["t"] + f.time))
    elif f.time is not None:
        f = replace(f, time=",".join(str(time_of(part, index)) for part in f.time.split(",")))
    letter = index.get("index")
    if letter and f.sub.endswith(letter) and f.sub[: -len(letter)] in ("", "x", "h"):
        f = replace(f, sub=f.sub[: -len(letter)] + index["sub"])
    return f


def lines(body):
    """(left, relation, right, equation) of equations, lines that continue a sum joined to the first."""
    joined = []
    for item in body:
        if not isinstance(item, Equation):
            continue
        if item.parts[0] == F.BLANK and item.relation == "+":
            left, relation, right, first = joined[-1]
            joined[-1] = left, relation, F.Sum(((1, right), (1, item.parts[1]))), first
        elif item.parts[0] == F.BLANK:
            left, _, _, first = joined[-1]
            joined += [(left, item.relation, right, first) for right in item.parts[1:]]
        else:
            joined += [(item.parts[0], item.relation, right, item) for right in item.parts[1:]]
    return joined


def blocks(section, gates):
    """(held gates, items) of the parts of a section: each sentence that sets gates begins a part."""
    found = [({}, [])]
    for item in section.body:
        if isinstance(item, Sentence):
            relations = [part for part in item.parts if isinstance(part, F.Relation) and part.left in gates]
            held = {gates[r.left]: 1 if r.right == F.Name("±1") else int(r.right.value) for r in relations
                    if isinstance(r.right, F.Number) or r.right == F.Name("±1")}  # fmt: skip
            found.append((held, []))
        found[-1][1].append(item)
    return found


def holds(numbers, line, index):
    """Whether a printed relation is true, to 1e-12 where it is an equation."""
    left, relation, right, _ = line
    got, expected = numbers.of(right, index), numbers.of(left, index)
    if relation == "=":
        scale = max(1.0, float(expected.abs().max()))
        return bool((got - expected).abs().max() <= 1e-12 * scale)
    return bool(expected <= got + 1e-12) if relation == "<=" else bool(expected >= got - 1e-12)
