"""The result of a verification in a notebook: the tables of `outcome.py` as HTML."""

from tidegate.notebook import Bad, output, paragraph, table
from tidegate.verification.outcome import Check, Comparison, Verification, cell

FEW = 4  # comparisons that are shown one by one


def comparison_html(found: Comparison) -> str:
    """One row for each quantity, with its relative error against each oracle, and the verdict in sentences."""
    rows: dict[str, dict[str, Check]] = {}
    for check in found.checks:
        rows.setdefault(check.label, {})[check.oracle] = check
    body = []
    for label, row in rows.items():
        good = all(check.passed for check in row.values())
        errors = [marked(row.get(oracle)) for oracle in found.oracles]
        body.append((label, next(iter(row.values())).norm, *errors, "ok" if good else Bad("WRONG")))
    head = ("quantity", "norm", *found.oracles, "verdict")
    words = [paragraph(line if found.passed else Bad(line)) for line in found.verdict()]
    return "\n".join([table(head, body, caption=found.title), *words])


def verification_html(found: Verification) -> str:
    """Each comparison of a few; for many, the worst error of each quantity, and every comparison that failed."""
    if not found.planted and len(found.comparisons) <= FEW:
        return output(*map(comparison_html, found.comparisons))
    oracles = list(dict.fromkeys(check.oracle for check in found.checks))
    rows = [
        (quantity, *(marked(found.worst_of(quantity, oracle)) for oracle in oracles))
        for quantity in dict.fromkeys(check.quantity for check in found.checks)
    ]
    failed = [comparison for comparison in found.comparisons if not comparison.passed]
    first = (
        f"{len(found.checks):,} comparisons in {len(found.comparisons):,} problems: "
        f"{f'{len(failed)} problems failed' if failed else 'all agree'}; {found.seconds:.0f} s."
    )
    planted = f"Planted errors: {sum(found.planted.values())} of {len(found.planted)} found."
    return output(
        paragraph(Bad(first) if failed else first),
        table(("quantity", *oracles), rows, caption="Worst relative error against each oracle"),
        *([paragraph(planted)] if found.planted else []),
        *(paragraph(Bad(f"Not found: {term}")) for term, seen in found.planted.items() if not seen),
        *map(comparison_html, failed),
    )


def marked(check: Check | None) -> str | Bad:
    written = cell(check).strip()
    return Bad(written) if check is not None and not check.passed else written
