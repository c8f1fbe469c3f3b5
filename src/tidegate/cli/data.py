"""`tidegate data`: the corpora that have a name, and where they are."""

import json
from dataclasses import asdict
from typing import Annotated

import typer


def data(as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """List the corpora that have a name: size, licence, source, and whether they are here."""
    from tidegate.text.corpora import list_corpora
    from tidegate.text.fetch import FOLDER, cache_folder

    corpora = list_corpora()
    if as_json:
        typer.echo(json.dumps([asdict(corpus) for corpus in corpora], indent=2))
        return
    for corpus in corpora:
        typer.echo(f"{corpus.name:17} {corpus.size:>9,} bytes  {corpus.licence:14} {corpus.title}")
        typer.echo(f"{'':17} source: {corpus.source}")
        typer.echo(f"{'':17} here:   {corpus.where or 'no, fetched when first used'}\n")
    typer.echo(f"Fetched texts are kept in {cache_folder()}.")
    typer.echo(f"A folder named by {FOLDER} is searched first, by hash, under any file name.")
    typer.echo("Any other text: give its path, or - for standard input.")
