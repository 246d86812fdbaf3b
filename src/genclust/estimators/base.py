"""What all estimators share: reading X, training seeds side by side, keeping the best, and using it on new rows."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor
from tqdm import tqdm

from genclust.estimators.inputs import CHUNK, Scale, Scaling, as_rows
from genclust.models import MODELS, BernoulliModel, Model
from genclust.models.inference import in_chunks
from genclust.settings import SettingError, read, within
from genclust.streams import Noise, noise_on
from genclust.training.batch_norm import recalibrate_batch_norm
from genclust.training.device import checked_device
from genclust.training.loop import Training, TrainingSettings
from genclust.training.schedules import Schedule
from genclust.wording import size

#: Rows without which there is nothing to hold out and to normalise by.
LEAST_ROWS = 5
#: What NumPy says of text where numbers should be: the text, maybe with its type.
NO_NUMBER = re.compile(r"could not convert string to float: (?:np\.\w+\()?(.*?)\)?$")
#: Python's types of dates and times, in what scikit-learn says of them.
DATES = re.compile(r"not '(datetime\.)?(Timestamp|Timedelta|Period|date|datetime|time|timedelta)'")
#: Importance samples and held-out bounds come from this seed, so that they are the same at every call.
SEED_OF_USE = 0


class Interrupted(UserWarning):
    """Training was ended by Ctrl-C, and what was learned is kept."""


class DeepEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base class of all estimators of this library; see its subclasses.

    Subclasses name a model of :data:`genclust.models.MODELS`; their parameters are the model's settings, those of
    training, and those below.

    Parameters
    ----------
    scale : {'auto', 'none', 'minmax', 'standard', 'log'}
        How columns are scaled; see :meth:`genclust.estimators.inputs.Scaling.fitted`.
    n_init : int
        Seeds that train side by side.  The one with the best bound on held-out rows is kept.
    validation_fraction : float
        Share of the rows that no seed trains on, by which seeds are compared.
    random_state : int, RandomState instance or None
        What the seeds and the held-out rows are drawn from.
    device : str
        ``cpu``, ``cuda`` or ``cuda:1``.
    verbose : int
        1 for a progress bar.
    """

    #: The name of the model that is trained.
    model_name: ClassVar[str]
    #: What ``bounds_`` are, in words.
    bound_in_words: ClassVar[str] = "Bound"
    #: Settings of training, and of the model, that are not parameters.
    training_constants: ClassVar[Mapping[str, Any]] = {}
    model_constants: ClassVar[Mapping[str, Any]] = {}

    # Of subclasses' parameters, those that all have:
    scale: Any
    n_init: int
    validation_fraction: float
    random_state: Any
    device: str
    verbose: int
    epochs: int
    batch_size: int
    learning_rate: Any

    # ---- fitting

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train ``n_init`` seeds and keep the one with the best bound on held-out rows.

        Parameters
        ----------
        X : array-like, sparse matrix, DataFrame or tensor of shape (n_samples, n_features), or images of shape \
                (n_samples, height, width) or (n_samples, height, width, colours)
            Rows to train on.
        y : Ignored
            Not used; here by convention.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter cannot be used, before any training; or if every seed's training diverged.

        Warns
        -----
        UserWarning
            If training was interrupted (Ctrl-C) after its first epoch: what was learned until then is kept, and the
            caller goes on, as a search over parameters with its next fit.  An earlier interrupt is raised.
        """
        return self._fit(X)

    def _fit(self, X: Any, labels: Any = None) -> Self:
        before = dict(vars(self))
        try:
            self._learn(X, labels)
        except BaseException:  # what was fitted before stays whole
            self.__dict__ = before
            raise
        return self

    def _learn(self, X: Any, labels: Any) -> None:
        rows, image = self._validated(X, reset=True)
        settings, training, general = self._prepared(rows, image)
        device = checked_device(general.device)
        known = self._known_classes(labels, rows.shape[0])
        rng = check_random_state(self.random_state)
        x = torch.cat(list(self.scaling_.chunks(rows)))
        # The rows first, so that they are the same whatever the number of seeds:
        order = rng.permutation(len(x))
        seeds = [int(seed) for seed in rng.randint(2**31 - 1, size=general.n_init)]
        if known is not None:  # to train on rather than to hold out
            order = order[np.argsort(known[order] >= 0, kind="stable")]
        n_held_out = _held_out(len(x), general.validation_fraction)
        held_out, rest = x[np.sort(order[:n_held_out])], np.sort(order[n_held_out:])

        module, _ = MODELS[self.model_name]
        model = module(len(seeds), x.shape[1], settings)
        labelled = None if known is None else _labelled(known, rest, len(seeds))
        run = Training(model, seeds, x[rest], training, device, labelled=labelled)
        curve = HeldOut(model, held_out.to(device), training.schedules)
        try:
            self._train(run, curve, training.epochs)
            self._keep_best(run, curve, x, settings)
        except KeyboardInterrupt:
            if not (done := run.progress[0].curve):  # an epoch is done once it is measured
                raise KeyboardInterrupt("Interrupted before the first epoch was done; nothing was kept.") from None
            warnings.warn(
                f"Training was interrupted after epoch {len(done)} of {training.epochs}; what was learned is kept.",
                Interrupted,
                stacklevel=4,
            )
            self._keep_best(run, curve, x, settings)  # from its beginning, also where it was itself interrupted

    def _known_classes(self, labels: Any, n: int) -> Int[np.ndarray, " N"] | None:
        """The class of each of n rows, -1 where it is unknown; None unless a subclass learns from labels."""
        return None

    def _train(self, run: Training, curve: HeldOut, epochs: int) -> None:
        bar = tqdm(total=run.total_steps, disable=not self.verbose, unit="step")
        with bar, torch.enable_grad():  # whoever calls may have switched gradients off

            def report(loss: float, steps: int) -> None:
                bar.set_postfix_str(f"objective {loss:.1f} nats", refresh=False)
                bar.update(steps)

            run.run(curve.point, range(1, epochs + 1), report)

    @torch.no_grad()
    def _keep_best(self, run: Training, curve: HeldOut, x: Tensor, settings: Any) -> None:
        """Set the fitted attributes, from the seed with the highest bound."""
        run.model.eval()
        if run.model.recalibrates_batch_norm:
            recalibrate_batch_norm(run.model, run.x, run.seeds, run.settings.batch_size)
        failed = np.array([progress.failed_at_step is not None for progress in run.progress])
        n_epochs = len(run.progress[0].curve)
        bounds = curve.bounds(n_epochs)
        bounds[failed | ~np.isfinite(bounds)] = -np.inf
        if not np.isfinite(bounds).any():
            steps = [progress.failed_at_step for progress in run.progress if progress.failed_at_step is not None]
            raise ValueError(
                f"Training diverged: the objective of every seed became infinite or no number, of the first at step "
                f"{min(steps, default=run.step)}; take a smaller learning_rate, or scale the columns of X."
            )
        self.seeds_ = run.seeds
        self.bounds_ = bounds
        self.best_ = int(bounds.argmax())
        self.bound_ = float(bounds[self.best_])
        self.histories_ = [progress.curve for progress in run.progress]
        self.history_ = self.histories_[self.best_]
        self.n_epochs_ = n_epochs
        self.scheduled_ = final_values(run.settings.schedules, run.model, n_epochs)
        module, _ = MODELS[self.model_name]
        self.model_ = module(1, x.shape[1], settings)
        best = slice(self.best_, self.best_ + 1)
        self.model_.load_state_dict({key: value[best] for key, value in run.model.state_dict().items()})
        self.model_.to(run.device).eval()
        self._n_features_out = self.n_outputs()
        self._describe_rows(run.model, x)

    def _describe_rows(self, model: Model, x: Float[Tensor, "N D"]) -> None:
        """Fitted attributes that hold something of every row, by all seeds; none unless a subclass has them."""

    def _prepared(self, rows: Any, image: tuple[int, ...] | None) -> tuple[Any, TrainingSettings, GeneralSettings]:
        """Settings of model and training, once nothing is wrong with parameters and rows; sets ``scaling_``."""
        name, n, given = type(self).__name__, rows.shape[0], self._given()
        general = read(GeneralSettings, {f.name: given[f.name] for f in fields(GeneralSettings)}, name)
        _generator(self.random_state, f"{name}.random_state")  # refused here, though drawn from later
        if n < LEAST_ROWS:
            raise ValueError(f"{name} needs {LEAST_ROWS} rows or more, and X has n_samples={n}, too few to learn from.")
        if n - _held_out(n, general.validation_fraction) < 2:
            raise ValueError(
                f"validation_fraction={general.validation_fraction:g} leaves less than two of {n} rows to train on; "
                "take a smaller share."
            )
        if not (rows.max(axis=0) != rows.min(axis=0)).sum():
            raise ValueError("All rows of X are alike; there is nothing to learn from.")
        module, settings_type = MODELS[self.model_name]
        declared = {f.name: given[f.name] for f in fields(settings_type) if f.name in given}
        declared |= {**self.model_constants, **self._derived(rows, image)}
        settings: Any = read(settings_type, declared, name)
        of_layers = getattr(settings, "n_clusters", ())
        for K in of_layers if isinstance(of_layers, tuple) else (of_layers,):
            if n < K:
                raise ValueError(f"n_clusters={K} is more than the {n} rows of X; a cluster should hold many rows.")
        pixels = image is not None or given.get("image_shape") is not None
        self.scaling_ = Scaling.fitted(rows, general.scale, _needs_unit_interval(module, settings), pixels)
        try:
            module(1, rows.shape[1], settings)  # settings that do not fit each other are refused here
        except SettingError as error:
            raise SettingError(_own_names(str(error), name)) from None
        return settings, self._training_settings(), general

    def _given(self) -> dict[str, Any]:
        """The parameters, with plain numbers in place of NumPy's."""
        return {name: _plain(value) for name, value in self.get_params(deep=False).items()}

    def _derived(self, rows: Any, image: tuple[int, ...] | None) -> dict[str, Any]:
        """Settings of the model that follow from X."""
        return {}

    def _training_settings(self) -> TrainingSettings:
        name, given = type(self).__name__, self._given()
        if given["precision"] not in ("float32", "bf16"):
            raise SettingError(f"{name}.precision must be 'float32' or 'bf16', not {given['precision']!r}.")
        declared = {key: given[key] for key in ("epochs", "batch_size", "precision")} | dict(self.training_constants)
        training = read(TrainingSettings, declared | {"schedules": {}}, name)
        return replace(training, schedules={"learning_rate": self._schedule("learning_rate"), **self._schedules()})

    def _schedules(self) -> dict[str, Schedule]:
        """Schedules that the model's loss asks for."""
        return {}

    def _schedule(self, name: str, shape: Any = "exponential", share: float = 1.0) -> Schedule:
        """A parameter that is a number, or the numbers at the start and the end of a share of all epochs."""
        value = getattr(self, name)
        start, end = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value, value)
        for number in (start, end):
            if isinstance(number, bool) or not isinstance(number, (int, float, np.number)) or not 0 < number < np.inf:
                raise SettingError(
                    f"{type(self).__name__}.{name} must be a positive number, or two: at the start of training and at "
                    f"its end; not {value!r}."
                )
        epochs = self._given()["epochs"]
        return Schedule("constant" if start == end else shape, float(start), float(end), share * epochs)

    def _warm_up(self, shape: Any = "linear") -> dict[str, Schedule]:
        """The weight of a bound's latent terms, which rises to 1 in a share of all epochs."""
        share = self._given()["warm_up"]
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise SettingError(f"{type(self).__name__}.warm_up must lie between 0 and 1, not {share!r}.")
        return {"warm_up": Schedule(shape, 0.0, 1.0, share * self._given()["epochs"])}

    # ---- using what was fitted

    @property
    def bound_remark(self) -> str:
        """How ``bounds_`` differ from an evidence lower bound, in a sentence; empty where there is nothing to say."""
        return ""

    def transform(self, X: Any) -> Float[np.ndarray, "N F"]:
        """Embed rows: posterior means of the model's latent variables, or its features.

        Parameters
        ----------
        X : as in :meth:`fit`
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            The first of the representations that the model's ``embed`` names.

        Raises
        ------
        NotFittedError
            If :meth:`fit` has not been called.
        ValueError
            If X has other columns, images of another shape or other units than what was fitted, holds text, NaN or
            infinity.
        """
        return self._outputs(X, self._embedding)

    @torch.no_grad()
    def n_outputs(self) -> int:
        """Number of columns that :meth:`transform` gives.

        Raises
        ------
        NotFittedError
            If :meth:`fit` has not been called.
        """
        check_is_fitted(self)
        device = next(self.model_.parameters()).device
        return self._embedding(torch.zeros(1, 2, self.n_features_in_, device=device)).shape[-1]

    def _embedding(self, x: Float[Tensor, "1 B D"]) -> Float[Tensor, "1 B F"]:
        """The first representation that the model names."""
        return next(iter(self.model_.embed(x).values()))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean bound per row, in nats, of the rows as the model sees them (scaled, or as bits).

        It is the evidence lower bound, except where the estimator says otherwise.  Temperatures and the like are those
        at the end of training.  It compares seeds of the same settings.  Do not choose settings by it, as a search over
        a grid would: it may be highest where the clusters mean least.

        Parameters
        ----------
        X : as in :meth:`fit`
            Rows.
        y : Ignored
            Not used; here by convention.

        Returns
        -------
        float
            The bound, estimated with as many samples per row as in training; the same at every call.

        Raises
        ------
        NotFittedError, ValueError
            As of :meth:`transform`.
        """
        rows = self._rows(X)
        x = torch.cat(list(self.scaling_.chunks(rows))).to(next(self.model_.parameters()).device)
        # As at the end of training, whatever the parameters have been set to since:
        constant = {name: Schedule.of(value) for name, value in self.scheduled_.items()}
        return float(HeldOut(self.model_, x, constant).bounds(self.n_epochs_)[0])

    def _outputs(self, X: Any, function: Callable[[Tensor], Tensor]) -> np.ndarray:
        """What ``function`` gives for all rows, ``[N, ...]``, some rows at a time."""
        rows = self._rows(X)
        return np.concatenate([np.asarray(of_chunk) for of_chunk in self._apply(rows, function)])

    def _apply(self, rows: Any, function: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
        device = next(self.model_.parameters()).device
        for x in self.scaling_.chunks(rows):
            yield in_chunks(function, encoder_input(self.model_, x.to(device)), 1)[0]

    def _rows(self, X: Any) -> Any:
        check_is_fitted(self)
        return self._validated(X, reset=False)[0]

    def _validated(self, X: Any, reset: bool) -> tuple[Any, tuple[int, ...] | None]:
        """Finite rows of as many columns as were fitted, and the shape of an image where X holds images."""
        rows, image = as_rows(X)
        _refuse_columns(X)
        kinds = [np.float64, np.float32, np.uint8]  # the first is what all others, and lists, become
        try:
            rows = validate_data(self, rows, reset=reset, accept_sparse="csr", dtype=kinds, ensure_all_finite=False)
        except ValueError as error:
            if (text := NO_NUMBER.match(str(error))) is None:
                raise
            raise ValueError(
                f"X holds text, such as {text[1]}{_text_columns(X)}; encode it as numbers, or leave it out."
            ) from None
        except TypeError as error:  # of scikit-learn's, on columns of Python's objects
            if not DATES.search(str(error)):
                raise
            raise ValueError(_dates(_text_columns(X))) from None
        if rows.dtype != np.uint8 and (place := _not_finite(rows)):
            raise ValueError(
                f"X holds NaN or infinity, first in row {place[0]}, column {place[1]}; leave out such rows, or fill "
                "them in."
            )
        if reset:
            self.image_shape_ = image
        elif image is not None and self.image_shape_ is not None and image != self.image_shape_:
            sizes = f"Images of {size(image)} cannot be shown to a model of images of {size(self.image_shape_)}"
            raise ValueError(f"{sizes}.")
        if rows.dtype == np.float64 and max(rows.max(), -rows.min()) > np.finfo(np.float32).max:
            raise ValueError("X holds values that are too large for float32; scale its columns.")
        if not reset:
            self.scaling_.refuse_other_units(rows, _needs_unit_interval(type(self.model_), self.model_.settings))
        return rows, image

    # ---- saving

    def save(self, path: Path | str, half: bool = False, overwrite: bool = False) -> None:
        """Write the fitted estimator into a folder; see :mod:`genclust.estimators.saving`.

        Parameters
        ----------
        path : path or str
            The folder, which does not exist yet or is empty.
        half : bool
            Whether weights are written in half precision.
        overwrite : bool
            Whether a saved estimator that lies there is replaced.  Nothing else ever is.

        Raises
        ------
        ModelError
            If the folder holds something, unless it is a saved estimator that may be replaced.
        NotFittedError
            If :meth:`fit` has not been called.
        OSError
            If the folder cannot be written.
        """
        from genclust.estimators.saving import save

        check_is_fitted(self)
        save(self, Path(path), half, overwrite=overwrite)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a saved estimator of this class.

        Parameters
        ----------
        path : path or str
            The folder that :meth:`save` wrote.

        Returns
        -------
        estimator
            As it was when it was saved, except that a ``random_state`` that was a generator is None.

        Raises
        ------
        ModelError
            If the folder is missing, damaged, or holds another kind of estimator.
        """
        from genclust.estimators.saving import load

        return load(Path(path), cls)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


class GenerativeEstimator(DeepEstimator):
    """Base class of the estimators of models that generate data."""

    def reconstruct(self, X: Any) -> Float[np.ndarray, "N ..."]:
        """Means of p(x|·) at what the model infers from each row, in the shape and units of X (grey levels in [0, 1]).

        Parameters
        ----------
        X : as in :meth:`fit`
            Rows.

        Returns
        -------
        ndarray of the shape of X
            Reconstructions.

        Raises
        ------
        NotFittedError, ValueError
            As of :meth:`transform`.
        """
        return self._shaped(self._outputs(X, lambda x: cast(Any, self.model_).reconstruct(x)))

    @torch.no_grad()
    def sample(self, n_samples: int = 1, random_state: Any = None) -> Float[np.ndarray, "n ..."]:
        """Draw from the model: means of p(x|·) for draws of the latent variables from their prior.

        Parameters
        ----------
        n_samples : int
            How many to draw.
        random_state : int, RandomState instance or None
            What they are drawn from; None draws others at every call.

        Returns
        -------
        ndarray of shape (n_samples, ...)
            In the shape and units of X (grey levels in [0, 1]).

        Raises
        ------
        NotFittedError
            If :meth:`fit` has not been called.
        ValueError
            If ``n_samples`` is no whole number of 1 or more, or ``random_state`` stands for no random numbers.
        """
        noise = self._noise_of(n_samples, random_state)
        return self._drawn(n_samples, noise, cast(Any, self.model_).sample)

    def _drawn(
        self, n_samples: int, noise: Noise, draw: Callable[[int, Noise], Float[Tensor, "1 n D"]]
    ) -> Float[np.ndarray, "n ..."]:
        """What ``draw`` gives in all, some samples at a time, in the shape and units of X."""
        sizes = [min(CHUNK, n_samples - start) for start in range(0, n_samples, CHUNK)]
        return self._shaped(torch.cat([draw(n, noise.at(i))[0].cpu() for i, n in enumerate(sizes)]))

    def _shaped(self, x: Tensor | np.ndarray) -> np.ndarray:
        """Rows as the model gives them, in the shape and units of X."""
        values = self.scaling_.restore(torch.as_tensor(x))
        return values if self.image_shape_ is None else values.reshape(*values.shape[:-1], *self.image_shape_)

    def _noise_of(self, n_samples: int, random_state: Any) -> Noise:
        check_is_fitted(self)
        check_n_samples(n_samples)
        seed = int(_generator(random_state, "random_state").randint(2**31 - 1))
        return noise_on(next(self.model_.parameters()).device, [seed], "samples of an estimator")


@dataclass(frozen=True)
class GeneralSettings:
    """Parameters that all estimators have and no model, with their ranges."""

    scale: Scale
    device: str
    n_init: int = within(1, 10_000)
    validation_fraction: float = within(0.001, 0.9)


class HeldOut:
    """The bound on held-out rows while seeds train.

    Args:
        model: of R replicas.
        x: held-out rows ``[N, D]``, on the model's device.
        schedules: those that the model's loss asks for, by name; others are not used.
    """

    def __init__(self, model: Model, x: Float[Tensor, "N D"], schedules: Mapping[str, Schedule]) -> None:
        self.model, self.x, self.schedules = model, x, schedules
        self.noise = noise_on(x.device, [SEED_OF_USE] * model.replicas, "held-out rows")

    def point(self, epoch: int) -> list[dict[str, float]]:
        """The mean bound (``bound``) and the mean of every term of the loss, in nats, for each replica."""
        terms = self._terms(epoch)
        means = {name: term.mean(1).tolist() for name, term in terms.items()}
        bounds = self.model.criterion(terms).mean(1).tolist()
        return [
            {"bound": bound, **{name: values[r] for name, values in means.items()}} for r, bound in enumerate(bounds)
        ]

    def bounds(self, epoch: int) -> Float[np.ndarray, " R"]:
        """The mean bound of every replica, in nats; minus infinity where it is no number."""
        means = self.model.criterion(self._terms(epoch)).double().mean(1).numpy()
        return np.where(np.isnan(means), -np.inf, means)

    @torch.no_grad()
    def _terms(self, epoch: int) -> dict[str, Float[Tensor, "R N"]]:
        scheduled = {name: schedule(epoch) for name, schedule in self.schedules.items()}
        chunks = [
            self.model.loss(x.expand(self.model.replicas, *x.shape), scheduled, self.noise.at(i)).terms
            for i, x in enumerate(self.x.split(CHUNK))
        ]
        return {name: torch.cat([terms[name].cpu() for terms in chunks], 1) for name in chunks[0]}


def final_values(schedules: Mapping[str, Schedule], model: Model, epochs: int) -> dict[str, float]:
    """What the schedules that a model's loss asks for have come to at the end of training."""
    return {name: schedules[name](epochs) for name in model.schedules}


def encoder_input(model: Model, x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
    """Rows as q sees them: themselves or, for a model of bits, one with the probability of the grey value.

    Every row has random numbers of its own, which follow from what it holds: its bits are the same at every call, and
    do not depend on which rows stand beside it.
    """
    if not isinstance(model, BernoulliModel):
        return x
    return (_uniform_of_rows(x) < x * (255 / model.settings.divisor)).to(x.dtype)


def _uniform_of_rows(x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
    """U(0, 1) numbers that are functions of the row, to 1/64 of its values, and of the column."""
    columns = np.arange(x.shape[1], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    # Edges at odd places, so that no rounding error moves a multiple of 1/255, 1/256 or 1/100 over one:
    held = (64 * x.cpu().numpy().clip(0, 1) + 0.37).astype(np.uint64)
    of_row = _mixed(_mixed(held + columns).sum(1, keepdims=True, dtype=np.uint64))
    return torch.from_numpy((_mixed(of_row + columns) >> np.uint64(40)).astype(np.float32) / 2**24).to(x.device)


def _mixed(words: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: 64 bits of which each depends on all 64 that come in."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def check_n_samples(n_samples: Any) -> None:
    """Refuse a number of samples that is no whole number of 1 or more.

    Raises:
        ValueError: if so.
    """
    if isinstance(n_samples, bool) or not isinstance(n_samples, (int, np.integer)) or n_samples < 1:
        raise ValueError(f"n_samples must be a whole number of 1 or more, not {n_samples!r}.")


def _generator(random_state: Any, name: str) -> np.random.RandomState:
    """The random numbers that a parameter called ``name`` stands for.

    Raises:
        SettingError: if it stands for none.
    """
    try:
        return check_random_state(random_state)
    except ValueError:
        raise SettingError(
            f"{name} must be a whole number from 0 to {2**32 - 1}, a NumPy RandomState or None, not {random_state!r}."
        ) from None


def _needs_unit_interval(module: type[Model], settings: Any) -> bool:
    """Whether a model of these settings needs values in [0, 1]: of bits, or of images."""
    images = getattr(settings, "height", 0) > 0
    return module.unit_interval or images or getattr(settings, "likelihood", None) == "bernoulli"


def _own_names(sentence: str, name: str) -> str:
    """A model's sentence on its settings, with the parameters of the estimator called ``name`` in their place."""
    one = sentence.replace("model.height, model.width and model.colours", "model.image_shape")
    return re.sub(r"\bmodel\.(?=\w)", f"{name}.", one)


def _not_finite(rows: Any) -> tuple[int, int] | None:
    """Row and column of the first value that is no finite number."""
    if np.isfinite(rows.data if sparse.issparse(rows) else rows).all():
        return None
    coordinates = sparse.coo_array(rows)
    at = int(np.flatnonzero(~np.isfinite(coordinates.data))[0])
    return int(coordinates.row[at]), int(coordinates.col[at])


def _refuse_columns(X: Any) -> None:
    """Refuse dates, which NumPy would take for numbers or not add to them, and columns with one name."""
    if isinstance(X, pd.DataFrame) and not X.columns.is_unique:
        twice = str(X.columns[X.columns.duplicated()][0])
        raise ValueError(f"X has more than one column {twice!r}; rename them, or leave out all but one.")
    if isinstance(X, pd.DataFrame) and any(kind.kind in "mM" for kind in X.dtypes):
        raise ValueError(_dates(_text_columns(X)))
    if isinstance(X, np.ndarray) and X.dtype.kind in "mM":
        raise ValueError(_dates(""))


def _dates(columns: str) -> str:
    return f"X holds dates or times{columns}; give numbers, such as days since the first, or leave them out."


def _text_columns(X: Any) -> str:
    """The columns of a pandas table that hold no numbers, in words; nothing for other forms of X."""
    if not isinstance(X, pd.DataFrame):
        return ""
    columns = [str(name) for name, kind in X.dtypes.items() if kind.kind not in "biuf"]
    return f" in the column{'s' * (len(columns) > 1)} {', '.join(map(repr, columns))}" if columns else ""


def _held_out(n: int, fraction: float) -> int:
    """How many of n rows no seed trains on."""
    return max(1, round(fraction * n))


def _plain(value: Any) -> Any:
    """Plain numbers in place of NumPy's, in a tuple or list too."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _labelled(known: np.ndarray, rest: np.ndarray, replicas: int) -> tuple[Tensor, Tensor] | None:
    """Places among the rows ``rest`` whose class is known, and the classes, for every replica; -1 is unknown."""
    places = np.flatnonzero(known[rest] >= 0)
    index, y = torch.from_numpy(places), torch.from_numpy(known[rest][places])
    return index.expand(replicas, -1), y.expand(replicas, -1)
