"""`tidegate data`: the named corpora, where they are, and the tokens in the cache."""

import json
from dataclasses import asdict
from typing import Annotated

import typer


def data(
    as_json: Annotated[bool, typer.Option("--json", help="Print the corpora as JSON.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Remove the cached tokens of large texts.")] = False,
) -> None:
    """List the named corpora, and the texts whose tokens are in the cache."""
    from tidegate.text import token_files
    from tidegate.text.corpora import list_corpora
    from tidegate.text.fetch import FOLDER, folder

    if clear:
        count, size = token_files.clear()
        typer.echo(f"Removed the tokens of {count} text{'s' * (count != 1)}, {size:,} bytes.")
        return
    corpora = list_corpora()
    if as_json:
        typer.echo(json.dumps([asdict(corpus) for corpus in corpora], indent=2))
        return
    for corpus in corpora:
        typer.echo(f"{corpus.name:17} {corpus.size:>9,} bytes  {corpus.licence:14} {corpus.title}")
        typer.echo(f"{'':17} source: {corpus.source}")
        typer.echo(f"{'':17} local:  {corpus.where or 'no, fetched when first used'}\n")
    typer.echo(f"Fetched texts are kept in {folder()}.")
    typer.echo(f"A folder named by {FOLDER} is searched first, by hash, under any file name.")
    typer.echo("Any other text: give its path, or - for standard input.\n")
    typer.echo(f"Tokens of texts over 8 MiB are kept in {token_files.folder()}, {token_files.LIMIT >> 30} GiB at most.")
    kept = token_files.entries()
    for entry in kept:
        typer.echo(f"{entry.name}: {entry.preprocessing} {entry.kind} tokens, {entry.size:,} bytes")
    if kept:
        typer.echo("Remove them with: tidegate data --clear")
