"""GRU and LSTM: weights at equal units, units at equal weights."""

from measured.tables import table
from tidegate import cells
from tidegate.cells import Cell
from tidegate.comparing.match import units
from tidegate.comparing.network import recurrent_weights
from tidegate.nn.equations import as_step

D, H = 64, 256
SIZED = {"RNN": cells.RNN, "GRU": cells.GRU, "LSTM": cells.LSTM}


def sizes() -> list[str]:
    gru = weights_of(cells.GRU, H)
    rows = []
    for name, cell in SIZED.items():
        own, equal = weights_of(cell, H), units(lambda h, cell=cell: weights_of(cell, h), gru)
        state = len(cell.state)
        rows.append([name, f"{own:,}", f"{own / gru:.2f}", str(equal), str(state * H), str(state * equal)])
    head = (
        f"{D} inputs", f"weights of {H} units", "ratio to the GRU", "units with as many weights as the GRU",
        f"numbers of state, {H} units", "with as many weights",
    )  # fmt: skip
    return table(head, rows)


def weights_of(cell: type[Cell], units: int) -> int:
    return recurrent_weights(as_step(cell), D, units, 1)
