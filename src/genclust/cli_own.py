"""``genclust fit``, ``assign``, ``sample`` and ``card``: models for people's own data."""

from __future__ import annotations

import csv
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table as Printed

from genclust import estimators
from genclust.cli_errors import one_sentence
from genclust.data.tables import Table, read_table
from genclust.estimators import report, saving
from genclust.figures import style
from genclust.figures.images import image_grid
from genclust.metrics import named
from genclust.settings import SettingError, nearest
from genclust.strict_yaml import parse

#: The estimators by what the command line calls them.
NAMES = {
    "gumbel": "GumbelClustering",
    "gmvae": "GMVAE",
    "cagem": "CaGeM",
    "vlac": "VLAC",
    "vae": "VAE",
    "iwae": "IWAE",
    "lvae": "LVAE",
}
MODELS_HELP = f"{', '.join(list(NAMES)[:-1])} or {list(NAMES)[-1]}."
console = Console(width=None if sys.stdout.isatty() else 140)


@contextmanager
def _own_data() -> Iterator[None]:
    """Errors in one sentence, those of scikit-learn's checks of X among them."""
    with one_sentence():
        try:
            yield
        except SettingError:
            raise
        except ValueError as error:
            raise SettingError(" ".join(str(error).split())) from None
        except BrokenPipeError:  # whoever reads what is printed has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fit(
    data: Annotated[Path, typer.Argument(help="An .npz, .npy, .csv, .parquet or .h5ad file, or a folder of images.")],
    out: Annotated[Path, typer.Option(help="The folder that the fitted model is written into.")],
    model: Annotated[str, typer.Option(help=MODELS_HELP)] = "gumbel",
    clusters: Annotated[int | None, typer.Option(help="How many clusters; the model's own number otherwise.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds train; the best by held-out bound is kept.")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Passes over the rows; the paper's number otherwise.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A parameter as key=value; may be repeated.")] = None,
    labels: Annotated[str | None, typer.Option(help="A column, or a file; used for scores only.")] = None,
    random_state: Annotated[int, typer.Option(help="What the seeds are drawn from.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train a model on data of your own, and say what was found."""
    with _own_data():
        if out.exists():
            raise SettingError(f"{out} exists already; give another folder to --out, or delete it.")
        given: dict[str, Any] = {"n_init": seeds, "random_state": random_state, "device": device, "verbose": not quiet}
        given |= {} if clusters is None else {"n_clusters": clusters}
        given |= {} if epochs is None else {"epochs": epochs}
        estimator = _estimator(model, given, set_ or [])
        table = read_table(data, labels)
        with warnings.catch_warnings(record=True) as noted:
            estimator.fit(_input_of(estimator, table))
        for warning in noted:
            print(f"genclust: {warning.message}", file=sys.stderr)
        saving.save(estimator, out)
        _report(estimator, table, out)


def _estimator(model: str, given: dict[str, Any], assignments: list[str]) -> Any:
    """An estimator with the given parameters, each of which it must have."""
    if model not in NAMES:
        raise SettingError(nearest(model, NAMES, "model"))
    cls = getattr(estimators, NAMES[model])
    valid = cls().get_params(deep=False)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise SettingError(f"Give parameters as key=value, not {assignment!r}.")
        try:
            number = parse(value)
        except ValueError as error:
            raise SettingError(f"The value of {assignment!r} cannot be read: {error}.") from None
        given[key] = tuple(number) if isinstance(number, list) else number
    for name in given:
        if name == "n_clusters" and name not in valid:
            raise SettingError(f"The model {model} has no clusters; leave out --clusters, or take one of the others.")
        if name not in valid:
            raise SettingError(nearest(name, valid, f"parameter of {NAMES[model]} named"))
    return cls(**given)


def _input_of(model: Any, table: Table) -> Any:
    """Rows with the names of their columns, where the file has them and the model knows any or is to be fitted."""
    named_columns = "feature_names_in_" in vars(model) or "model_" not in vars(model)
    return pd.DataFrame(table.x, columns=table.columns) if table.columns and named_columns else table.x


def _report(model: Any, table: Table, out: Path) -> None:
    X = _input_of(model, table)
    rows = f"{len(table.x):,} rows of {model.n_features_in_:,} values"
    console.print(f"Fitted {type(model).__name__} on {rows}, {model.n_epochs_} epochs, into {out}")
    bounds = ", ".join(f"{bound:.2f}" for bound in model.bounds_)
    best = f" (of seeds {bounds})" if len(model.bounds_) > 1 else ""
    console.print(f"Bound on held-out rows: {model.bound_:.2f} nats per row{best}")
    if not hasattr(model, "labels_"):
        console.print(f"Log-likelihood of all rows: {model.score(X):.2f} nats per row")
        return
    if len(model.bounds_) > 1:
        agree = report.seeds_agree(model)
        console.print(
            f"Agreement between seeds: {np.mean(agree):.2f} (mean adjusted Rand index; 1 is the same clusters, 0 is "
            "chance)"
        )
    else:
        console.print("Agreement between seeds: one seed cannot tell; --seeds 5 trains five")
    report.assignments(model, X, table.names).to_csv(out / "clusters.csv", index=False)
    summary = report.summary(model, X, table.names)
    printed = Printed(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in summary:
        printed.add_column(heading, justify="left" if heading == "most typical row" else "right")
    for _, line in summary.iterrows():
        printed.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in line))
    console.print(printed)
    if empty := model.n_clusters_ - len(summary):
        console.print(f"{empty} of {model.n_clusters_} clusters are empty.")
    if table.labels is not None:
        _print_scores(report.scores(model, X, table.labels), console)
    style.use()
    _save(report.picture(model, X, table.columns), out / "clusters.png")
    console.print(f"Clusters of all rows: {out / 'clusters.csv'}; a picture of every cluster: {out / 'clusters.png'}")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, facecolor="white")
    plt.close(figure)


def _print_scores(scores: dict[str, float], where: Console) -> None:
    texts = (f"{named(name).title}: {value:.1f} {named(name).unit}" for name, value in scores.items())
    where.print(f"Against the labels: {'; '.join(texts)}")


def assign(
    model: Annotated[str, typer.Argument(help="The folder of a fitted model, or a published one's name.")],
    data: Annotated[Path, typer.Argument(help="New rows, in any of the forms that genclust fit reads.")],
    labels: Annotated[str | None, typer.Option(help="A column, or a file; scores go to the error stream.")] = None,
) -> None:
    """Print name, cluster and probability of new rows, as CSV."""
    with _own_data():
        fitted: Any = saving.load(model)
        _refuse_without_clusters(fitted)
        table = read_table(data, labels)
        X = _input_of(fitted, table)
        report.assignments(fitted, X, table.names).to_csv(sys.stdout, index=False)
        if table.labels is not None:
            _print_scores(report.scores(fitted, X, table.labels), Console(stderr=True, width=140))


def sample(
    model: Annotated[str, typer.Argument(help="The folder of a fitted model, or a published one's name.")],
    cluster: Annotated[int | None, typer.Option(help="Only from this cluster.")] = None,
    n: Annotated[int, typer.Option("--n", help="How many.")] = 16,
    png: Annotated[bool, typer.Option("--png", help="Images into a file, not values as text.")] = False,
    random_state: Annotated[int, typer.Option(help="What the samples are drawn from.")] = 0,
) -> None:
    """Draw from a fitted model: values as CSV, or images."""
    with _own_data():
        fitted: Any = saving.load(model)
        if cluster is not None:
            _refuse_without_clusters(fitted)
        if png and fitted.image_shape_ is None:
            raise SettingError("The model is of rows and not of images; without --png its samples are printed as CSV.")
        which = {} if cluster is None else {"cluster": cluster}
        drawn = fitted.sample(n, random_state=random_state, **which)
        if png:
            name = Path("samples.png" if cluster is None else f"samples-cluster-{cluster}.png")
            _write_images(fitted, drawn, name)
            console.print(f"{n} samples: {name}")
            return
        writer = csv.writer(sys.stdout)
        columns = getattr(fitted, "feature_names_in_", [f"x{i}" for i in range(fitted.n_features_in_)])
        writer.writerow(columns)
        writer.writerows(drawn.reshape(n, -1).tolist())


def _write_images(fitted: Any, drawn: np.ndarray, path: Path) -> None:
    """Write a grid of eight images per row."""
    style.use()
    columns = min(8, len(drawn))
    rows = -(-len(drawn) // columns)
    height, width, colours = (*fitted.image_shape_, 1)[:3]
    grid = np.zeros((rows * columns, height, width, colours))
    grid[: len(drawn)] = report.as_brightness(fitted, drawn.reshape(-1, height, width, colours))
    figure, ax = plt.subplots(figsize=(columns, rows))
    image_grid(ax, grid.reshape(rows, columns, height, width, colours))
    _save(figure, path)


def card(
    model: Annotated[
        str | None, typer.Argument(help="The folder of a fitted model, or a published one's name.")
    ] = None,
) -> None:
    """Print what a fitted model is: data, parameters, numbers; without a name, list the published ones."""
    with _own_data():
        if model is None:
            console.print("\n".join(saving.published()) or "No trained model is published.")
            return
        saving.load(model)  # so that a damaged model is not described
        print(saving.folder_of(model).joinpath(saving.CARD).read_text(encoding="utf8"), end="")


def _refuse_without_clusters(fitted: Any) -> None:
    if not hasattr(fitted, "predict"):
        raise SettingError(f"{type(fitted).__name__} has no clusters; take a model that has them.")
