"""``genclust data``: listing, downloading and checking data sets."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from genclust import data
from genclust.cli_errors import one_sentence

app = typer.Typer(help="List, download and check data sets.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List all data sets, whether they are in the data folder, and how near they are to those of the papers."""
    with one_sentence(resumes=False):
        table = Table(title=f"Data sets below {data.folder()}")
        for heading in ("name", "what", "rows", "here?", "fidelity", "stands in for"):
            table.add_column(heading, justify="right" if heading == "rows" else "left")
        for name, source in data.sources().items():
            rows = " + ".join(f"{n:,}" for n in source.splits.values())
            present = "yes" if source.present(data.place(name)) else "no"
            table.add_row(name, source.what, rows, present, source.fidelity, source.stands_in_for or "")
        Console().print(table)


@app.command()
def fetch(names: Annotated[list[str], typer.Argument(help="names, as genclust data list shows them")]) -> None:
    """Download data sets that are missing or damaged in the data folder."""
    with one_sentence():
        for name in names:
            data.fetch(name)
            typer.echo(f"{name} is ready")


@app.command()
def verify(names: Annotated[list[str] | None, typer.Argument(help="names; all by default")] = None) -> None:
    """Check the contents of data sets; a damaged one, or a missing one that was named, is an error."""
    wrong = ("altered", "missing") if names else ("altered",)
    with one_sentence(resumes=False):
        reports = [data.verify(name) for name in names or data.names()]
    for report in reports:
        typer.echo(f"{report.state:<10} {report.detail}", err=report.state in wrong)
    if any(report.state in wrong for report in reports):
        raise typer.Exit(1)
