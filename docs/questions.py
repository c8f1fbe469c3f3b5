"""The measurements of docs/questions.md: `python docs/questions.py` prints them, --write writes them into the page.

Those of this file are of layers that are not trained: see measured/small_layers.py; the median of five seeds.
"""

import sys
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from measured.batches import batches
from measured.opening import fixed_lag, opening
from measured.sizes import sizes
from measured.small_layers import SEEDS, D, H, biased, blocks, both, far, layer_of, recurrent, run
from measured.tables import number, show, table, write
from measured.two_gates import orthogonal, two_gates
from tidegate import cells

PAGE = Path(__file__).parent / "questions.md"


def explode() -> list[str]:
    big = recurrent(lambda: torch.randn(H, H, dtype=torch.float64) / H**0.5)
    runs = {
        "residual, tanh": (cells.ResidualRNN, big),
        "residual, sigmoid": (cells.SigmoidResidualRNN, big),
        "plain RNN": (cells.RNN, big),
        "GRU": (cells.GRU, big),
        "GRU, bias of z + 3": (cells.GRU, both(big, biased(z=3.0))),
    }
    rows = []
    for name, (cell, change) in runs.items():
        found = [[far(cell, K, seed, change) for K in (1, 10, 30)] for seed in SEEDS]
        gains = [median(float(f[k][0][0]) for f in found) for k in range(3)]
        rows.append([name, *map(number, gains), number(median(float(f[2][1].abs().max()) for f in found))])
    head = ("recurrent entries N(0, 1/H)", "gain over 1 step", "10 steps", "30 steps", "largest state after 30")
    return table(head, rows)


def ill_conditioned() -> Tensor:
    """Singular values from 1 down to 1e-3, in random directions."""
    left, right = (torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0] for _ in range(2))
    return left @ torch.diag(torch.logspace(0, -3, H, dtype=torch.float64)) @ right


def vanish() -> list[str]:
    same = recurrent(ill_conditioned)
    runs = {
        "plain RNN": (cells.RNN, same),
        "GRU, z about 0.5": (cells.GRU, same),
        "GRU, bias of z + 4": (cells.GRU, both(same, biased(z=4.0))),
        "LSTM, f about 0.5": (cells.LSTM, same),
        "LSTM, bias of f + 4": (cells.LSTM, both(same, biased(f=4.0))),
    }
    rows = []
    for name, (cell, change) in runs.items():
        values = [far(cell, 50, seed, change)[0] for seed in SEEDS]
        kept = [float((v > 0.1).sum()) for v in values]
        gain, middle = (median(float(v[k]) for v in values) for k in (0, H // 2))
        rows.append([name, number(gain), number(middle), f"{median(kept):.0f} of {len(values[0])}"])
    return table(("U with singular values 1 to 0.001, 50 steps", "largest gain", f"{H // 2 + 1}th largest gain",
                  "directions with a gain above 0.1"), rows)  # fmt: skip


def element_wise() -> list[str]:
    rows: dict[str, list[tuple[float, float]]] = {"element by element, diag(z)": [], "as a matrix, P diag(z) Q": []}
    for seed in SEEDS:
        torch.manual_seed(seed)
        z = 0.9 + 0.09 * torch.rand(100, H, dtype=torch.float64)
        memory = {name: torch.eye(H, dtype=torch.float64)[0] for name in rows}
        for t in range(100):
            P, Q = (torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0] for _ in range(2))
            for name, gate in zip(rows, (torch.diag(z[t]), P @ torch.diag(z[t]) @ Q)):
                memory[name] = gate @ memory[name]
        for name, h in memory.items():
            rows[name].append((float(h[0] ** 2 / h.square().sum()), float(h.norm())))
    numbers = [
        [name, *(number(median(column)) for column in zip(*found)), "H²" if "matrix" in name else "H"]
        for name, found in rows.items()
    ]
    return table(
        ("gate of singular values 0.9 to 0.99, 100 steps", "share that is still in its unit", "remaining norm",
         "multiplications per step"), numbers,
    )  # fmt: skip


def gates() -> list[str]:
    rows = []
    for r, z in ((1, 1), (1, 0), (0, 1), (0, 0)):
        found = []
        for seed in SEEDS:
            layer = layer_of(cells.GRU, seed, biased(r=60.0 * r - 30, z=60.0 * z - 30))
            rnn = layer_of(cells.RNN, seed)
            with torch.no_grad():
                for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(rnn, f"{part}_l0").copy_(blocks(layer, part)["n"])
            x = torch.randn(1, D, dtype=torch.float64)
            one, other = torch.randn(2, H, dtype=torch.float64)
            with torch.no_grad():
                (h,), (h_other,), (h_rnn,) = run(layer, x, (one,)), run(layer, x, (other,)), run(rnn, x, (one,))
            found.append([float((h - one).norm()), float((h - h_rnn).norm()), float((h - h_other).norm())])
        rows.append([f"{r}", f"{z}", *(number(median(column)) for column in zip(*found))])
    return table(
        (
            "r",
            "z",
            "distance from the old state",
            "from the step of a plain RNN",
            "between runs from two initial states",
        ),
        rows,
    )


def relu() -> list[str]:
    runs = {
        "identity": lambda: torch.eye(H, dtype=torch.float64),
        "N(0, 1/H)": lambda: torch.randn(H, H, dtype=torch.float64) / H**0.5,
        "N(0, 4/H)": lambda: 2 * torch.randn(H, H, dtype=torch.float64) / H**0.5,
    }
    rows = []
    for name, make in runs.items():
        row = [name]
        for cell in (cells.RNN, cells.ReluRNN):
            found = [far(cell, 50, seed, recurrent(make)) for seed in SEEDS]
            row += [
                number(median(float(v[0]) for v, _ in found)),
                number(median(float(h.abs().max()) for _, h in found)),
            ]
        rows.append(row)
    return table(("U", "tanh: gain over 50 steps", "largest state", "relu: gain", "largest state"), rows)


def relu_steps() -> list[str]:
    """The gain of relu over 10, 50 and 100 steps for an orthogonal U times a factor."""
    rows = []
    for scale in (0.8, 1.0, 1.5, 2.0):
        row = [f"{scale:g}"]
        for cell in (cells.RNN, cells.ReluRNN):
            for K in (10, 50, 100):
                found = [far(cell, K, seed, recurrent(lambda scale=scale: scale * orthogonal())) for seed in SEEDS]
                row.append(number(median(float(values[0]) for values, _ in found)))
        rows.append(row)
    head = ("U = orthogonal times", *(f"{name}: {K} steps" for name in ("tanh", "relu") for K in (10, 50, 100)))
    return table(head, rows)


MEASURED = {
    "explode": explode, "vanish": vanish, "element-wise": element_wise, "gates": gates, "two gates": two_gates,
    "opening": opening, "fixed lag": fixed_lag, "batches": batches, "sizes": sizes, "relu": relu,
    "relu steps": relu_steps,
}  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write(PAGE, MEASURED)
    else:
        show(MEASURED)
