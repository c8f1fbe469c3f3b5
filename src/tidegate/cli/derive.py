"""`tidegate derive`: a cell's gradients, printed as mathematics."""

from pathlib import Path
from typing import Annotated

import typer


def derive(
    cell: Annotated[str, typer.Argument(help="A cell by name, or FILE.py:CLASS.")],
    format: Annotated[str, typer.Option(help="text, latex, markdown or html.")] = "text",
    jacobian: Annotated[
        bool, typer.Option("--jacobian", help="Only the step, its Jacobian, and the bound over many steps.")
    ] = False,
    unroll: Annotated[int, typer.Option(help="Write the product of so many step Jacobians out, 1 to 9.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write to this file [standard output].")] = None,
) -> None:
    """Derive backpropagation through time for a cell: recursion, gradients, Jacobian, bound, special cases.

    Everything printed comes from the cell's equations; `tidegate verify` checks the same gradients by numbers.
    """
    from tidegate.calculus.derivation import derive as derive_cell
    from tidegate.nn import find_cell

    written = derive_cell(find_cell(cell), jacobian_only=jacobian, unroll=unroll).render(format)
    if out is None:
        typer.echo(written, nl=False)
    else:
        out.write_text(written, encoding="utf-8")
        typer.echo(f"{out}: {len(written):,} characters")
