"""``genclust fit``, ``assign``, ``sample`` and ``card``: models for people's own data."""

from __future__ import annotations

import csv
import math
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure
from rich.console import Console
from typer.core import TyperCommand

from genclust import estimators
from genclust.cli_errors import one_sentence
from genclust.cli_own_report import (
    cautions_before,
    cautions_of_outliers,
    console,
    named_by,
    note,
    print_comparison,
    print_fit,
    print_learned,
    print_published,
    print_scores,
)
from genclust.data import DataError
from genclust.data.tables import Table, read_table, with_class
from genclust.estimators import report, saving
from genclust.estimators.base import LEAST_ROWS, Interrupted
from genclust.estimators.card import describe
from genclust.figures import style
from genclust.figures.images import image_grid
from genclust.paths import expanded, probe_folder
from genclust.settings import SettingError, nearest
from genclust.strict_yaml import assignment
from genclust.wording import counted, first_few, size

#: The estimators by what the command line calls them.
NAMES = {
    "gumbel": "GumbelClustering",
    "gmvae": "GMVAE",
    "cagem": "CaGeM",
    "vlac": "VLAC",
    "split-merge": "SplitMerge",
    "vae": "VAE",
    "iwae": "IWAE",
    "lvae": "LVAE",
}
MODELS_HELP = f"{', '.join(list(NAMES)[:-1])} or {list(NAMES)[-1]}; vae, iwae and lvae have no clusters."
DATA_HELP = (
    "A table (.csv or .tsv with commas, semicolons, tabs or bars; .parquet), arrays (.npz, .npy), single cells "
    "(.h5ad), or a folder of images."
)
MODEL_HELP = "The folder of a fitted model, or the name of a published one; genclust card lists those."
LABELS_HELP = (
    "The name of the column with known classes, or a file with one class per line; they serve for scores only, "
    "and rows with -1 are not scored. By default there are none."
)
KNOWN_HELP = (
    "Of cagem: the column with the classes of some rows, empty or -1 where a class is unknown, or a file with one per "
    "line. The model learns from them, and its first clusters stand for these classes."
)
#: What parameters of estimators are called on the command line; the others are given by ``--set``.
OPTIONS = {
    "n_clusters": "--clusters",
    "n_init": "--seeds",
    "epochs": "--epochs",
    "random_state": "--random-state",
    "device": "--device",
}
#: Clusters that a model may have (the limit of all models' settings), and numbers of clusters that are compared.
MOST_CLUSTERS, MOST_NUMBERS = 10_000, 50


class Command(TyperCommand):
    """Command whose option ``--help`` is shown without the type of its value, as it takes none."""

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)
        if option is not None:
            option.metavar = ""
        return option


@contextmanager
def _own_data() -> Iterator[None]:
    """Errors in one sentence, those of scikit-learn's checks of X among them; and warnings without a path."""
    with one_sentence(resumes=False), warnings.catch_warnings():
        warnings.showwarning = lambda message, *where: note(message)
        try:
            yield
        except SettingError:
            raise
        except ValueError as error:
            raise SettingError(" ".join(str(error).split())) from None
        except BrokenPipeError:  # whoever reads what is printed has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _words_of_the_command_line(data: Path | str) -> Iterator[None]:
    """Errors of an estimator with the names of options for those of parameters, and the file's for X."""
    try:
        yield
    except ValueError as error:
        text = " ".join(str(error).split())
        text = re.sub(rf"\b(?:{'|'.join(NAMES.values())})\.(\w+)", lambda m: OPTIONS.get(m[1], m[1]), text)
        text = re.sub(r"\bn_clusters=", "--clusters ", text)
        text = re.sub(r"^labels\b", "--known-labels", text)
        text = re.sub(r"^n_samples\b", "--n", text)
        text = re.sub(r"^cluster\b", "--cluster", text)
        raise SettingError(re.sub(r"\bX\b", lambda _: str(data), text)) from None


def fit(
    data: Annotated[Path, typer.Argument(callback=expanded, help=DATA_HELP)],
    out: Annotated[
        Path,
        typer.Option(
            callback=expanded,
            help="The folder to write the fitted model into; it must not exist yet.",
            show_default=False,
        ),
    ],
    model: Annotated[str, typer.Option(help=MODELS_HELP)] = "gumbel",
    clusters: Annotated[
        str | None,
        typer.Option(
            help="How many clusters: 7, or up to 50 numbers to compare, as 3-8 or 3,5,7. By default 10, of vlac 50, "
            "and with --known-labels as many as there are classes."
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            help="How often training starts anew, each time from other random numbers. The best is kept; whether all "
            "agree says how far to trust it."
        ),
    ] = 3,
    epochs: Annotated[
        int | None,
        typer.Option(help="How often training goes through all rows. By default the model's own: 300 for gumbel."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Another parameter of the model, such as w_gaussian=2; may be repeated."
        ),
    ] = None,
    labels: Annotated[str | None, typer.Option(help=LABELS_HELP)] = None,
    known_labels: Annotated[str | None, typer.Option(help=KNOWN_HELP, show_default=False)] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="A column of the table that is no feature; may be repeated."),
    ] = None,
    random_state: Annotated[
        int, typer.Option(help="A whole number; the same one gives the same result again, another one another.")
    ] = 0,
    device: Annotated[str, typer.Option(help="What computes: cpu, or a graphics card as cuda or cuda:1.")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", metavar="", help="Show no progress bar.")] = False,
) -> None:
    """Train a model on data of your own, and say what was found."""
    with _own_data():
        _refuse_folder(out)
        _refuse_seed(random_state)
        given: dict[str, Any] = {"n_init": seeds, "random_state": random_state, "device": device, "verbose": not quiet}
        given |= {} if epochs is None else {"epochs": epochs}
        counts = [{}] if clusters is None else [{"n_clusters": K} for K in _numbers(clusters)]
        models = [_estimator(model, given | count, set_ or []) for count in counts]
        table, known = _to_fit(data, model, labels, known_labels, ignore or [])
        if known is not None and clusters is None:
            models[0].set_params(n_clusters=max(2, len(set(known) - {""})))
        X = _with_names(table)
        warned_of = list(cautions_before(models, table))
        for caution in warned_of:
            note(caution)
        _note_unknown(table.labels)
        keep = partial(_keep, X=X, table=table, out=out, several=len(models) > 1, warned_of=warned_of)
        try:
            fitted = _fit_each(models, X, {} if known is None else {"labels": known}, data, keep)
            for caution in cautions_of_outliers(fitted[0], X):
                note(caution)
            if len(models) > 1:
                print_comparison(fitted, X, table, out)
                return
            if known is not None:
                print_learned(fitted[0], known)
            print_fit(fitted[0], X, table, out)
        except KeyboardInterrupt as stopped:
            finished = f"Interrupted; what was finished lies in {out}, and is whole." if out.exists() else str(stopped)
            raise KeyboardInterrupt(finished) from None


def _fit_each(models: list[Any], X: Any, learned: dict[str, Any], data: Path, keep: Callable[..., None]) -> list[Any]:
    """Fit models to rows and keep each; those that were fitted, in their order.

    A first Ctrl-C ends training, of which is kept what was learned, or waits until a trained model is kept; no further
    one is then fitted.

    Args:
        models: not fitted yet, by their number of clusters.
        X: rows.
        learned: what else ``fit`` takes.
        data: the path of the rows, for messages.
        keep: writes a fitted model; with ``again=True`` unless that was done before.

    Raises:
        KeyboardInterrupt: if Ctrl-C comes before anything is learned, or a second time.
    """
    fitted: list[Any] = []
    # The largest number of clusters first: if it is too large, that is said before anything is trained.
    for estimator in reversed(models):
        try:
            with _words_of_the_command_line(data), warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", Interrupted)
                estimator.fit(X, **learned)
            for warning in told:
                note(warning.message)
            keep(estimator)
        except KeyboardInterrupt as stopped:
            if hasattr(estimator, "model_"):  # it is trained
                note("Interrupted; the trained model is written first.")
                keep(estimator, again=True)
                return [estimator, *fitted]
            if not fitted:
                raise
            note(f"{counted(estimator.n_clusters, 'cluster')}: {str(stopped) or 'Interrupted; nothing was kept.'}")
            return fitted
        fitted.insert(0, estimator)
        if any(issubclass(warning.category, Interrupted) for warning in told):
            break
    return fitted


def _keep(
    estimator: Any, again: bool = False, *, X: Any, table: Table, out: Path, several: bool, warned_of: list[str]
) -> None:
    """Write a fitted model into ``out`` or, of several, into the folder of its number of clusters in there.

    Args:
        estimator: fitted.
        again: whether it may have been written before; then it is left as it is.
        X: the rows that it was fitted on.
        table: the same with their names.
        out: the folder that was asked for.
        several: whether numbers of clusters are compared.
        warned_of: what to be wary of in the rows, for the card.
    """
    where = out / str(estimator.n_clusters) if several else out
    if not (again and where.exists()):
        card = describe(estimator, [*warned_of, *cautions_of_outliers(estimator, X)])
        _write(estimator, X, table, where, out.parent, card)


def _refuse_folder(out: Path) -> None:
    """Refuse a folder that exists, or that could not be written once a model is trained."""
    if out.exists():
        raise SettingError(f"{out} exists already; give another folder to --out, or delete it.")
    try:
        probe_folder(out)
    except OSError as error:
        raise SettingError(
            f"{out} cannot be written ({error.filename}: {error.strerror}); give another folder to --out."
        ) from None


def _refuse_seed(random_state: int) -> None:
    if not 0 <= random_state < 2**32:
        raise SettingError(f"--random-state must lie between 0 and {2**32 - 1}, not {random_state}.")


def _note_unknown(labels: np.ndarray | None) -> None:
    """Tell of how many rows scores are, where others have no class."""
    if labels is not None and not (known := with_class(labels)).all():
        note(
            f"The label -1 stands for an unknown class; scores are of the {known.sum():,} of "
            f"{counted(len(labels), 'row')} with another one."
        )


def _to_fit(
    data: Path, model: str, labels: str | None, known: str | None, ignore: list[str]
) -> tuple[Table, np.ndarray | None]:
    """The rows with the classes to score by, and the classes to learn from, which are no test."""
    if known is None:
        table, learned = read_table(data, labels, ignore=ignore), None
    else:
        table, learned = _with_known(data, model, labels, known, ignore)
    if len(table.x) < LEAST_ROWS:
        raise DataError(f"{data} has {counted(len(table.x), 'row')}, and {LEAST_ROWS} or more are needed.")
    return table, learned


def _with_known(data: Path, model: str, labels: str | None, known: str, ignore: list[str]) -> tuple[Table, np.ndarray]:
    """The rows without their classes, and the classes, some of which are known."""
    if model != "cagem":
        raise SettingError("--known-labels is for the model cagem, which learns from them; for scores give --labels.")
    if labels is not None:
        raise SettingError("Give --known-labels to learn from or --labels for scores, and not both.")
    table = read_table(data, known, partly=True, ignore=ignore)
    if table.labels is None or not (table.labels != "").any():
        raise DataError(f"The known labels {known!r} name no class, so there is nothing to learn from.")
    return replace(table, labels=None), table.labels


def _numbers(text: str) -> list[int]:
    """The numbers in text such as ``7``, ``3-8`` or ``3,5,7``, in order."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        numbers = match and range(int(match[1]), int(match[2] or match[1]) + 1)
        if not numbers:
            raise SettingError(f"--clusters takes a number, or several such as 3-8 or 3,5,7, not {text!r}.")
        for K in (numbers[0], numbers[-1]):
            if not 1 <= K <= MOST_CLUSTERS:
                raise SettingError(f"--clusters must lie between 1 and {MOST_CLUSTERS}, not {K}.")
        found |= set(numbers)
    if len(found) > MOST_NUMBERS:
        raise SettingError(f"--clusters compares {MOST_NUMBERS} numbers at most, and {text!r} are {len(found):,}.")
    return sorted(found)


def _estimator(model: str, given: dict[str, Any], assignments: list[str]) -> Any:
    """An estimator with the given parameters, each of which it must have."""
    if model not in NAMES:
        raise SettingError(nearest(model, NAMES, "model"))
    cls = getattr(estimators, NAMES[model])
    valid = cls().get_params(deep=False)
    for key, value in map(assignment, assignments):
        if key in OPTIONS and (key in given or not isinstance(value, list)):
            # A list may be given, as of the clusters of every layer of vlac, which no option can say.
            raise SettingError(f"{key} cannot be given by --set; give {OPTIONS[key]} instead.")
        given[key] = tuple(value) if isinstance(value, list) else value
    for name in given:
        if name == "n_clusters" and name not in valid:
            raise SettingError(f"The model {model} has no clusters; leave out --clusters, or take one of the others.")
        if name not in valid:
            raise SettingError(nearest(name, valid.keys() - OPTIONS.keys(), f"parameter of {model} named"))
    return cls(**given)


def _with_names(table: Table) -> Any:
    """The rows, with the names of their columns where the file has them."""
    return pd.DataFrame(table.x, columns=table.columns) if table.columns else table.x


def _write(model: Any, X: Any, table: Table, where: Path, beside: Path, card: str) -> None:
    """Write the folder of a fitted model, with the cluster of every row and a picture of every cluster if it has any.

    It comes to be whole, by one renaming, or not at all.

    Args:
        model: fitted.
        X: the rows that it was fitted on.
        table: the same with their names.
        where: the folder, which does not exist yet; nor need that which it is in.
        beside: the folder in which it is made ready.
        card: text for people.
    """
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=f".{where.name}-") as new:
        folder = Path(new) / where.name
        saving.save(model, folder, card=card)
        if hasattr(model, "labels_"):
            report.assignments(model, X, table.names).to_csv(folder / "clusters.csv", index=False)
            style.use()
            _save(report.picture(model, X, table.columns), folder / "clusters.png")
        where.parent.mkdir(exist_ok=True)
        os.rename(folder, where)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, facecolor="white")
    plt.close(figure)


def assign(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    data: Annotated[
        Path, typer.Argument(callback=expanded, help="New rows, in any of the forms that genclust fit reads.")
    ],
    labels: Annotated[
        str | None, typer.Option(help=f"{LABELS_HELP} The scores go to the error stream.", show_default=False)
    ] = None,
) -> None:
    """Print name, cluster and probability of new rows, as CSV, and the class where the model knows classes.

    Columns are known by their names.
    """
    with _own_data():
        fitted: Any = saving.load(model)
        _refuse_without_clusters(fitted)
        known = getattr(fitted, "feature_names_in_", None)
        table = read_table(data, labels, None if known is None else list(known))
        if table.named_by is not None:
            note(named_by(table))
        _note_unknown(table.labels)
        X = _as_fitted(fitted, table, data)
        with _words_of_the_command_line(data):
            report.assignments(fitted, X, table.names).to_csv(sys.stdout, index=False)
            if table.labels is not None:
                scores = report.scores(fitted, X, table.labels)
                print_scores("Against the labels", scores, Console(stderr=True, width=140, markup=False))


def _as_fitted(fitted: Any, table: Table, path: Path) -> Any:
    """Rows or images as the model was fitted on them: the columns of its names, in its order.

    Raises:
        DataError: if columns are missing, or it was fitted on rows or images of another kind.
    """
    known = list(getattr(fitted, "feature_names_in_", []))
    shape, image, D = table.x.shape[1:], fitted.image_shape_, fitted.n_features_in_
    is_image = len(shape) > 1
    fits = shape == image if is_image and image is not None else math.prod(shape) == D and not (is_image and known)
    lacking = [name for name in known if name not in (table.columns or known)]
    if not is_image and known and table.columns:
        if len(lacking) == len(known):
            raise DataError(
                f"{path} has none of the model's columns {first_few(known)}, but {first_few(table.columns)}."
            )
        if lacking:
            raise DataError(f"{path} lacks the column{'s' * (len(lacking) > 1)} {first_few(lacking)} of the model.")
        extra = [*table.ignored, *(name for name in table.columns if name not in known)]
        if extra:
            note(f"Ignored of {path}, as the model does not know them: {first_few(extra)}.")
        rows = pd.DataFrame(table.x, columns=table.columns)
        if table.columns == known:
            return rows
        if twice := [name for name in known if table.columns.count(name) > 1]:
            raise DataError(f"{path} has more than one column {twice[0]!r}; leave out all but one.")
        return rows[known]
    if not fits:
        expected = f"images of {size(image)}" if image else f"a table of {counted(D, 'column')}"
        expected += f" ({first_few(known)})" if known else ""
        holds = f"holds images of {size(shape)}" if is_image else f"is a table of {counted(shape[0], 'column')}"
        raise DataError(f"The model expects {expected}, but {path} {holds}.")
    if known:
        note(f"{path} does not name its columns; they are taken in the order of the model's.")
        return pd.DataFrame(table.x, columns=known)
    return table.x


def sample(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    cluster: Annotated[
        int | None, typer.Option(help="Only from the cluster of this number; by default from all.")
    ] = None,
    n: Annotated[int, typer.Option("--n", help="How many.")] = 16,
    png: Annotated[
        bool,
        typer.Option(
            "--png",
            metavar="",
            help="Of a model of images: draw them into samples.png in this folder (with --cluster 3 into "
            "samples-cluster-3.png), which must not exist yet, instead of printing their values.",
        ),
    ] = False,
    random_state: Annotated[
        int, typer.Option(help="A whole number; the same one gives the same samples again, another one others.")
    ] = 0,
) -> None:
    """Draw from a fitted model: values as CSV, or images. They are means, without the noise of single values."""
    with _own_data():
        fitted: Any = saving.load(model)
        if not hasattr(fitted, "sample"):
            raise SettingError(f"{type(fitted).__name__} does not generate data, so there is nothing to sample.")
        if cluster is not None:
            _refuse_without_clusters(fitted)
        _refuse_seed(random_state)
        if png and fitted.image_shape_ is None:
            raise SettingError("The model is of rows and not of images; without --png its samples are printed as CSV.")
        picture = Path("samples.png" if cluster is None else f"samples-cluster-{cluster}.png")
        if png and picture.exists():
            raise SettingError(
                f"{picture} exists already in this folder; rename or delete it, or work in another folder."
            )
        which = {} if cluster is None else {"cluster": cluster}
        with _words_of_the_command_line(model):
            drawn = fitted.sample(n, random_state=random_state, **which)
        if png:
            _write_images(fitted, drawn, picture)
            console.print(f"{counted(n, 'sample')}: {picture}")
            return
        if fitted.image_shape_ is None:
            note("The samples are means of the decoder; the values of rows scatter around such means.")
        else:
            note("These are the values of the pixels; with --png they are drawn.")
        writer = csv.writer(sys.stdout, lineterminator="\n")
        columns = getattr(fitted, "feature_names_in_", [f"x{i}" for i in range(fitted.n_features_in_)])
        writer.writerow(columns)
        writer.writerows(drawn.reshape(n, -1).tolist())


def _write_images(fitted: Any, drawn: np.ndarray, path: Path) -> None:
    """Write a grid of eight images per row; what is left of the last row is white."""
    style.use()
    columns = min(8, len(drawn))
    rows = -(-len(drawn) // columns)
    height, width, colours = (*fitted.image_shape_, 1)[:3]
    grid = np.ones((rows * columns, height, width, colours))
    grid[: len(drawn)] = report.as_brightness(fitted, drawn.reshape(-1, height, width, colours))
    figure, ax = plt.subplots(figsize=(columns, rows))
    image_grid(ax, grid.reshape(rows, columns, height, width, colours))
    _save(figure, path)


def card(
    model: Annotated[
        str | None, typer.Argument(help="The folder of a fitted model, or the name of a published one.")
    ] = None,
) -> None:
    """Print what a fitted model is: data, parameters, numbers; without a name, list the published ones."""
    with _own_data():
        if model is None:
            print_published()
            return
        saving.load(model)  # so that a damaged model is not described
        print(saving.card_of(model), end="")


def _refuse_without_clusters(fitted: Any) -> None:
    if not hasattr(fitted, "predict"):
        raise SettingError(f"{type(fitted).__name__} has no clusters; take a model that has them.")
