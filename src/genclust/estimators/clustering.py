"""Estimators that cluster: the four papers' models for people's own data."""

from __future__ import annotations

import math
import reprlib
import warnings
from functools import partial
from typing import Any, ClassVar, Self, cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped
from sklearn.base import ClusterMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from genclust.data.tables import UNKNOWN
from genclust.estimators.base import DeepEstimator, GenerativeEstimator, encoder_input
from genclust.estimators.density import DensityEstimator
from genclust.estimators.inputs import CHUNK, dense, in_unit_interval
from genclust.models import Model
from genclust.models.inference import in_chunks
from genclust.settings import SettingError
from genclust.training.schedules import Schedule
from genclust.wording import counted

#: What is said of a bound in which a Gumbel-softmax sample takes the place of the cluster.
RELAXED = "The bound only approximates the evidence lower bound, as it is computed with relaxed clusters."


class ClusterEstimator(ClusterMixin, DeepEstimator):
    """Base class of the estimators that cluster.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,)
        The cluster of every row that was fitted, of the seed that was kept.
    all_labels_ : ndarray of shape (n_init, n_samples)
        The same of every seed.
    cluster_sizes_ : ndarray of shape (n_clusters,)
        Rows in each cluster.
    mean_probabilities_ : ndarray of shape (n_clusters,)
        Mean probability of the cluster that a row was put into, over the rows of each; NaN where there are none.
    bounds_, seeds_, histories_, best_ : of every seed
        Its bound on held-out rows in nats (minus infinity if its training diverged), its seed, its learning curve; and
        which one was kept.
    scheduled_ : dict of float
        What a temperature and a warm-up had come to at the end of training; :meth:`score` takes these.
    """

    labels_: Int[np.ndarray, " N"]
    all_labels_: Int[np.ndarray, "R N"]
    cluster_sizes_: Int[np.ndarray, " K"]
    mean_probabilities_: Float[np.ndarray, " K"]

    @property
    def n_clusters_(self) -> int:
        """Number of clusters of the fitted model, with those that are empty."""
        check_is_fitted(self)
        model = cast(Any, self.model_)
        K = model.settings.n_clusters
        return K if isinstance(K, int) else K[model.scored_layer - 1]

    def predict(self, X: Any) -> Int[np.ndarray, " N"]:
        """Find the most probable cluster of every row.

        Parameters
        ----------
        X : as in :meth:`fit`
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Numbers of clusters, from 0 on.

        Raises
        ------
        NotFittedError, ValueError
            As of :meth:`transform`.
        """
        return self._outputs(X, lambda x: cast(Any, self.model_).cluster_posterior(x).argmax(-1))

    def predict_proba(self, X: Any) -> Float[np.ndarray, "N K"]:
        """Posterior probability of every cluster, q(y|x), for every row.

        Parameters
        ----------
        X : as in :meth:`fit`
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_clusters)
            Rows that sum to one.

        Raises
        ------
        NotFittedError, ValueError
            As of :meth:`transform`.
        """
        return self._outputs(X, lambda x: cast(Any, self.model_).cluster_posterior(x).exp())

    @torch.no_grad()
    def _describe_rows(self, model: Model, x: Float[Tensor, "N D"]) -> None:
        device, posterior = next(model.parameters()).device, cast(Any, model).cluster_posterior
        chunks = [
            in_chunks(posterior, encoder_input(model, rows.to(device)), model.replicas) for rows in x.split(CHUNK)
        ]
        log_probability, most_probable = torch.cat([chunk.nan_to_num(-np.inf) for chunk in chunks], 1).max(-1)
        self.all_labels_ = most_probable.numpy().astype(np.int32)
        self.labels_ = self.all_labels_[self.best_]
        K = chunks[0].shape[-1]
        self.cluster_sizes_ = np.bincount(self.labels_, minlength=K)
        probability = log_probability[self.best_].double().exp().numpy()
        with np.errstate(invalid="ignore"):
            self.mean_probabilities_ = np.bincount(self.labels_, probability, minlength=K) / self.cluster_sizes_


class GenerativeClusterEstimator(GenerativeEstimator, ClusterEstimator):
    """Base class of the estimators that cluster, of models that generate data."""

    @torch.no_grad()
    def sample(
        self, n_samples: int = 1, random_state: Any = None, cluster: int | None = None
    ) -> Float[np.ndarray, "n ..."]:
        """Draw from the model, or from one of its clusters: means of p(x|·) for draws of the latent variables.

        Parameters
        ----------
        n_samples : int
            How many to draw.
        random_state : int, RandomState instance or None
            What they are drawn from; None draws others at every call.
        cluster : int or None
            The number of a cluster; None draws it too.

        Returns
        -------
        ndarray of shape (n_samples, ...)
            In the shape and units of X (grey levels in [0, 1]).

        Raises
        ------
        NotFittedError
            If :meth:`fit` has not been called.
        ValueError
            If ``n_samples`` is no whole number of 1 or more, ``cluster`` no number of a cluster, or ``random_state``
            stands for no random numbers.
        """
        if cluster is None:
            return super().sample(n_samples, random_state)
        noise = self._noise_of(n_samples, random_state)
        K = self.n_clusters_
        if isinstance(cluster, bool) or not isinstance(cluster, (int, np.integer)) or not 0 <= cluster < K:
            raise ValueError(f"cluster must be a whole number from 0 to {K - 1}, not {cluster!r}.")
        return self._drawn(n_samples, noise, partial(cast(Any, self.model_).sample_cluster, cluster=int(cluster)))

    def _likelihood(self, rows: Any, likelihood: Any) -> dict[str, Any]:
        """``auto`` is Bernoulli for values in [0, 1] and grey levels, unless scaled otherwise; else Gaussian."""
        if likelihood != "auto":
            return {}
        inside = rows.dtype == np.uint8 or in_unit_interval(rows)
        return {"likelihood": "bernoulli" if inside and self.scale not in ("standard", "log") else "gaussian"}


class GumbelClustering(GenerativeClusterEstimator):
    """Clustering with Gumbel-softmax clusters and a Gaussian style ("Is Simple Better?").

    The model of Arias Figueroa and Ramírez Rivera (2017), :class:`genclust.models.gumbel.GumbelClustering`.
    Defaults are the paper's for MNIST, except ``latent_dim`` (150 there).  What stands for the bound, in :meth:`score`
    and in ``bounds_``, only approximates the evidence lower bound: clusters are relaxed in it and, with the Gaussian
    likelihood of D columns, it is D/2 log π nats higher, as the constant is left out.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, K.
    latent_dim : int
        Dimension of the style z.
    feature_dim : int
        Dimension of the features x̂, which :meth:`transform` returns.
    hidden : tuple of int
        Widths of the encoder's hidden layers; the decoder mirrors them.
    w_gaussian, w_categorical : float
        Weights of the two divergences; the paper's w_G and 1.
    likelihood : {'auto', 'bernoulli', 'gaussian'}
        ``auto`` takes Bernoulli for values in [0, 1] and grey levels, and otherwise a Gaussian.
    temperature : float or pair of float
        Of the relaxation: constant, or falling from the first to the second over the first third of training.
    epochs : int
        Passes over the rows.
    batch_size : int
        Rows per step.
    learning_rate : float or pair of float
        Of Adam: constant, or falling from the first to the second.
    precision : {'float32', 'bf16'}
        Of matrix products.
    scale : {'auto', 'none', 'minmax', 'standard', 'log'}
        How columns are scaled: ``auto`` leaves values in [0, 1] and grey levels as they are, and brings other columns
        to mean 0 and variance 1 (to [0, 1] where the likelihood is Bernoulli).  ``log``, for counts, takes the
        logarithm of 1 + X and brings that to mean 0 and variance 1; samples are then counts again, typical ones rather
        than means.
    n_init : int
        Seeds that train side by side; the one with the best bound on held-out rows is kept.
    validation_fraction : float
        Share of the rows that is held out.
    random_state : int, RandomState instance or None
        What seeds and held-out rows are drawn from.
    device : str
        ``cpu``, ``cuda`` or ``cuda:1``.
    verbose : int
        1 for a progress bar.

    Examples
    --------
    >>> from genclust import GumbelClustering
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data[:500] / 16
    >>> model = GumbelClustering(n_clusters=10, hidden=(64, 32), epochs=5, n_init=2, random_state=0).fit(X)
    >>> model.predict(X).shape, model.all_labels_.shape, model.sample(3, cluster=4).shape
    ((500,), (2, 500), (3, 64))
    """

    model_name = "gumbel"

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        latent_dim: int = 50,
        feature_dim: int = 100,
        hidden: tuple[int, ...] = (512, 256),
        w_gaussian: float = 5.0,
        w_categorical: float = 1.0,
        likelihood: str = "auto",
        temperature: Any = (1.0, 0.5),
        epochs: int = 300,
        batch_size: int = 300,
        learning_rate: Any = 0.001,
        precision: str = "float32",
        scale: str = "auto",
        n_init: int = 1,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        device: str = "cpu",
        verbose: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.latent_dim = latent_dim
        self.feature_dim = feature_dim
        self.hidden = hidden
        self.w_gaussian = w_gaussian
        self.w_categorical = w_categorical
        self.likelihood = likelihood
        self.temperature = temperature
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.precision = precision
        self.scale = scale
        self.n_init = n_init
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    @property
    def bound_remark(self) -> str:
        """That the bound has relaxed clusters and, with a Gaussian likelihood, lacks its constant."""
        check_is_fitted(self)
        if cast(Any, self.model_).settings.likelihood == "bernoulli":
            return RELAXED
        constant = self.n_features_in_ / 2 * math.log(math.pi)
        return (
            f"{RELAXED[:-1]} and leaves out the constant of the Gaussian likelihood, by which it is {constant:.1f} "
            "nats per row higher."
        )

    def _derived(self, rows: Any, image: tuple[int, ...] | None) -> dict[str, Any]:
        return self._likelihood(rows, self.likelihood)

    def _schedules(self) -> dict[str, Schedule]:
        return {"temperature": self._schedule("temperature", "exponential", 1 / 3)}


class GMVAE(GenerativeClusterEstimator):
    """Gaussian mixture variational autoencoder with the consistency violation (version 1 of its paper).

    The model of Dilokthanakul et al. (2016), :class:`genclust.models.gmvae.GMVAE`, with the authors' dense network.
    Defaults are those of the authors' code, which the paper does not state, except for the network.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, K.
    x_dim, w_dim : int
        Dimensions of the latent x (which :meth:`transform` returns) and w.
    hidden : int
        Width of every dense hidden layer.
    network : {'dense', 'mnist', 'svhn'}
        The convolutional ones are for images of 28 × 28 × 1 and 32 × 32 × 3 values.
    eta : float
        Weight of the divergence of the clusters.
    alpha : float
        Weight of the consistency violation.
    samples : int
        M, Monte Carlo samples per row.
    likelihood : {'auto', 'bernoulli', 'gaussian'}
        ``auto`` takes Bernoulli for values in [0, 1] and grey levels, and otherwise a Gaussian with learned variance,
        under which no column may be constant.
    epochs, batch_size, learning_rate, precision, scale, n_init, validation_fraction, random_state, device, verbose
        As of :class:`GumbelClustering`.

    Examples
    --------
    >>> from genclust import GMVAE
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().images[:500] / 16
    >>> model = GMVAE(n_clusters=5, x_dim=8, w_dim=4, hidden=32, epochs=2, random_state=0).fit(X)
    >>> model.predict_proba(X).shape, model.transform(X).shape, model.sample(3).shape
    ((500, 5), (500, 8), (3, 8, 8))
    """

    model_name = "gmvae"
    model_constants: ClassVar = {"init": "torch7"}

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        x_dim: int = 200,
        w_dim: int = 150,
        hidden: int = 500,
        network: str = "dense",
        eta: float = 1.0,
        alpha: float = 0.4,
        samples: int = 1,
        likelihood: str = "auto",
        epochs: int = 100,
        batch_size: int = 50,
        learning_rate: Any = 0.0001,
        precision: str = "float32",
        scale: str = "auto",
        n_init: int = 1,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        device: str = "cpu",
        verbose: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.x_dim = x_dim
        self.w_dim = w_dim
        self.hidden = hidden
        self.network = network
        self.eta = eta
        self.alpha = alpha
        self.samples = samples
        self.likelihood = likelihood
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.precision = precision
        self.scale = scale
        self.n_init = n_init
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def _derived(self, rows: Any, image: tuple[int, ...] | None) -> dict[str, Any]:
        derived = self._likelihood(rows, self.likelihood)
        constant = np.flatnonzero(dense(rows.min(axis=0)) == dense(rows.max(axis=0)))
        if len(constant) and derived.get("likelihood", self.likelihood) == "gaussian":
            raise ValueError(
                f"{counted(len(constant), 'column')} of X with one value only (first: column {constant[0]}) would be "
                "explained without end by a Gaussian with learned variance; leave out such columns, with "
                "scikit-learn's VarianceThreshold for example."
            )
        return derived


class CaGeM(GenerativeClusterEstimator, DensityEstimator):
    """Cluster-aware generative model of bits: a likelihood, and clusters that some labels may name.

    The model of Maaløe, Fraccaro and Winther (2017), :class:`genclust.models.cagem.CaGeM`.  Rows are bits, or grey
    values in [0, 1] as their probabilities: bits are drawn anew at every step of training, and once, from what a row
    holds, for :meth:`predict` and the other methods.  Continuous columns lose most of their information in this way;
    :class:`GumbelClustering` and :class:`GMVAE` take values as they are.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, K.
    z1_dim, z2_dim : int
        Dimensions of the two latent layers; :meth:`transform` returns the lower one.
    hidden : int
        Width of the hidden layers.
    alpha : float
        Weight of the labelled rows' cross-entropy.
    warm_up : float
        Share of all epochs over which the latent terms of the bound are faded in; 0 for none.
    epochs, batch_size, learning_rate, precision, scale, n_init, validation_fraction, random_state, device, verbose
        As of :class:`GumbelClustering`; ``scale='auto'`` brings other values to [0, 1].

    Examples
    --------
    >>> from genclust import CaGeM
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> X, y = X[:500] / 16, y[:500].copy()
    >>> y[100:] = -1  # unknown
    >>> model = CaGeM(n_clusters=10, z1_dim=8, z2_dim=4, hidden=32, epochs=2, random_state=0).fit(X, labels=y)
    >>> model.predict(X).shape, model.score_samples(X).shape
    ((500,), (500,))
    """

    model_name = "cagem"
    training_constants: ClassVar = {"clip_norm": 4.0, "adam_epsilon": 1e-4}

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        z1_dim: int = 64,
        z2_dim: int = 32,
        hidden: int = 1024,
        alpha: float = 0.1,
        warm_up: float = 0.1,
        epochs: int = 2000,
        batch_size: int = 256,
        learning_rate: Any = 0.0002,
        precision: str = "float32",
        scale: str = "auto",
        n_init: int = 1,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        device: str = "cpu",
        verbose: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.z1_dim = z1_dim
        self.z2_dim = z2_dim
        self.hidden = hidden
        self.alpha = alpha
        self.warm_up = warm_up
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.precision = precision
        self.scale = scale
        self.n_init = n_init
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    class_names_: list[str]

    def fit(self, X: Any, y: Any = None, *, labels: Any = None) -> Self:
        """Train ``n_init`` seeds, with the classes of some rows where they are known; keep the best.

        Parameters
        ----------
        X : as of :meth:`GumbelClustering.fit`
            Rows to train on.
        y : Ignored
            Not used; here by convention.  Known classes are given as ``labels``.
        labels : array-like of shape (n_samples,), or None
            The class of every row, as a whole number 0 … K-1 or as text, without blanks at its ends.  It is unknown
            where there is -1, None, NaN or pandas' NA, or text that is blank or says so (-1, NA, N/A, NaN, <NA> or
            null, in small or capital letters).  Two rows or more must have one, as batches of them are normalised.
            Clusters then stand for these classes: cluster k for class k, or for the k-th text in ``class_names_``.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, ``labels`` or a parameter cannot be used, before any training; or if every seed's training diverged.

        Warns
        -----
        UserWarning
            If y is given and ``labels`` are not; or if training was interrupted, as of :meth:`GumbelClustering.fit`.
        """
        if y is not None and labels is None:
            warnings.warn("CaGeM.fit takes known classes as labels; y is not used.", stacklevel=2)
        return self._fit(X, labels)

    def _known_classes(self, labels: Any, n: int) -> Int[np.ndarray, " N"] | None:
        self.__dict__.pop("class_names_", None)
        if labels is None:
            return None
        given, K = np.asarray(labels, dtype=object), int(self.n_clusters)  # or numbers beside text became text
        if given.ndim != 1:
            other = f"of shape {given.shape}" if given.ndim else reprlib.repr(labels)
            raise ValueError(f"labels must be a list or an array of shape ({n},), one class for each row, not {other}.")
        given = np.where(pd.isna(given), -1, given)
        if any(isinstance(label, str) for label in given):
            given = self._numbered(given, K)
        classes = pd.Series(given).infer_objects().to_numpy()
        whole = classes.dtype.kind in "iuf" and (classes == np.rint(classes)).all()
        if not whole or not ((classes >= -1) & (classes < K)).all() or (classes >= 0).sum() < 2:
            raise ValueError(
                f"labels must hold a whole number from 0 to {K - 1} for every row, or -1 or NaN where its class is "
                "unknown, and name the class of two rows at least; or text, which is empty where the class is unknown."
            )
        if len(classes) != n:
            raise ValueError(f"X has {n} rows, but there are {len(classes)} labels.")
        return classes.astype(np.int64)

    def _numbered(self, labels: Shaped[np.ndarray, " N"], K: int) -> Int[np.ndarray, " N"]:
        """Text by the numbers of classes, and -1 where it is unknown; the names of classes are kept."""
        if other := [label for label in labels if not isinstance(label, str) and label != -1]:
            raise ValueError(f"labels must be text or whole numbers and not both; there is {other[0]} beside text.")
        texts = ["" if label == -1 or label.strip().lower() in UNKNOWN else label.strip() for label in labels]
        names = sorted(set(texts) - {""}, key=_in_order)
        if len(texts) - texts.count("") < 2:
            raise ValueError("labels must name the class of two rows at least; it is empty text where it is unknown.")
        if len(names) > K:
            raise ValueError(f"labels name {len(names)} classes, and n_clusters={K}; each class needs a cluster.")
        self.class_names_ = names
        numbers = {"": -1} | {name: k for k, name in enumerate(names)}
        return np.array([numbers[text] for text in texts])

    def _schedules(self) -> dict[str, Schedule]:
        return self._warm_up()


def _in_order(name: str) -> tuple[bool, int, str]:
    """Numbers by their size, before other text."""
    return not name.isdecimal(), int(name) if name.isdecimal() else 0, name


class VLAC(GenerativeClusterEstimator):
    """Variational ladder autoencoder for clustering: clusters at several layers, of images.

    The model of Willetts, Roberts and Holmes (2019), :class:`genclust.models.vlac.VLAC`.  The numbers of
    clusters are the paper's for SVHN; other defaults are those of the VLAE's code, or of this library.  What stands for
    the bound, in :meth:`score` and in ``bounds_``, only approximates the evidence lower bound, as it is computed with
    relaxed clusters.

    Parameters
    ----------
    n_clusters : tuple of int, or int
        K of every layer, from the data upwards; 1 for a layer without clusters.  One number is that of the uppermost
        convolutional layer, the others having none: 50 is the paper's (1, 1, 50, 1).
    z_dims : tuple of int
        Dimension of z in every layer.
    channels : tuple of int
        Planes of the convolutions of every layer; the top layer may be dense and without an entry.
    dense : int
        Width of the dense layers.
    sigma : float
        Standard deviation of the Gaussian likelihood, of values in [0, 1].
    scored_layer : int
        The layer whose clusters :meth:`predict` gives, from 1 on; 0 for the one with most clusters.
    image_shape : tuple of int or None
        Height, width and colours, where X holds rows; None takes the shape of X's images, and reads a row of a table
        as one line of pixels.
    temperature : float or pair of float
        Of the relaxation, see :class:`GumbelClustering`.
    warm_up : float
        Share of all epochs in which the weight of the divergences has risen to 1 - 1/e.
    epochs, batch_size, learning_rate, precision, scale, n_init, validation_fraction, random_state, device, verbose
        As of :class:`GumbelClustering`; ``scale='auto'`` brings other values to [0, 1].

    Examples
    --------
    >>> from genclust import VLAC
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().images[:300] / 16
    >>> model = VLAC((3, 5), z_dims=(2, 2), channels=(4, 8), dense=16, epochs=1, random_state=0).fit(X)
    >>> {layer: labels.shape for layer, labels in model.predict_layers(X).items()}
    {'y1': (300,), 'y2': (300,)}
    """

    model_name = "vlac"

    def __init__(
        self,
        n_clusters: int | tuple[int, ...] = 50,
        *,
        z_dims: tuple[int, ...] = (5, 5, 5, 10),
        channels: tuple[int, ...] = (64, 128, 256),
        dense: int = 1024,
        sigma: float = 0.3,
        scored_layer: int = 0,
        image_shape: tuple[int, ...] | None = None,
        temperature: Any = 0.5,
        warm_up: float = 0.028,
        epochs: int = 100,
        batch_size: int = 100,
        learning_rate: Any = 0.0002,
        precision: str = "float32",
        scale: str = "auto",
        n_init: int = 1,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        device: str = "cpu",
        verbose: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.z_dims = z_dims
        self.channels = channels
        self.dense = dense
        self.sigma = sigma
        self.scored_layer = scored_layer
        self.image_shape = image_shape
        self.temperature = temperature
        self.warm_up = warm_up
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.precision = precision
        self.scale = scale
        self.n_init = n_init
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    @property
    def bound_remark(self) -> str:
        """That the bound has relaxed clusters, where any layer has clusters."""
        check_is_fitted(self)
        return RELAXED if cast(Any, self.model_).clustered else ""

    def predict_layers(self, X: Any) -> dict[str, Int[np.ndarray, " N"]]:
        """Find the most probable cluster of every row, in every layer that has clusters.

        Parameters
        ----------
        X : as in :meth:`fit`
            Rows.

        Returns
        -------
        dict of ndarray of shape (n_samples,)
            By layer, ``y1``, ``y2`` and so on, from the data upwards.

        Raises
        ------
        NotFittedError, ValueError
            As of :meth:`transform`.
        """
        check_is_fitted(self)
        model = cast(Any, self.model_)

        names = [f"y{layer}" for layer in model.clustered]

        def of_layers(x: Float[Tensor, "1 B D"]) -> Int[Tensor, "1 B L"]:
            posteriors = model.layer_posteriors(x)
            return torch.stack([posteriors[name].argmax(-1) for name in names], -1)

        return dict(zip(names, self._outputs(X, of_layers).T, strict=True)) if names else {}

    def _derived(self, rows: Any, image: tuple[int, ...] | None) -> dict[str, Any]:
        for name in ("z_dims", "channels"):
            if not isinstance(value := getattr(self, name), (tuple, list)):
                raise SettingError(f"VLAC.{name} must be a list of one number for each layer, not {value!r}.")
        given = self._given()["image_shape"]
        shape = (image or (1, rows.shape[1])) if given is None else _image_shape("VLAC", given)
        height, width, colours = (*shape, 1)[:3]
        derived: dict[str, Any] = {"height": height, "width": width, "colours": colours}
        if isinstance(K := self._given()["n_clusters"], (int, float)):
            top = len(self.channels)
            derived["n_clusters"] = tuple(K if layer == top else 1 for layer in range(1, len(self.z_dims) + 1))
        return derived

    def _schedules(self) -> dict[str, Schedule]:
        return {"temperature": self._schedule("temperature", "exponential", 1 / 3)} | self._warm_up("saturating")


class SplitMerge(ClusterEstimator):
    """Many small clusters that pairs of similar rows share, merged into few.

    The model of this book's last chapter, :class:`genclust.models.splitmerge.SplitMerge`.  A pair is two random views
    (turned, shifted, scaled, sheared) of an image and of a near neighbour of it; rows that are no images are paired
    with near neighbours as they are.  The model does not generate data, and so there is nothing to sample or to
    reconstruct.  What stands for the bound, in :meth:`score` and in ``bounds_``, is the mutual information of the
    sub-clusters of pairs, in nats; :meth:`score` pairs views without neighbours, since a fitted model keeps no rows.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, K.
    heads : int
        H, independent splits into sub-clusters.
    subclusters : int
        S, sub-clusters of every head.
    hidden : tuple of int
        Widths of the encoder's hidden layers; :meth:`transform` returns the last.
    augmentation : float
        How much views of images change, relative to 15 degrees, a tenth of the side, a fifth of the size; 0 for not at
        all.  Images in which this would make one thing another need a smaller number.
    neighbours : bool
        Whether the second of a pair comes from a near neighbour.
    image_shape : tuple of int or None
        Height, width and colours, where X holds rows; None takes the shape of X's images.
    epochs, batch_size, learning_rate, precision, scale, n_init, validation_fraction, random_state, device, verbose
        As of :class:`GumbelClustering`; ``scale='auto'`` brings images to [0, 1].

    Examples
    --------
    >>> from genclust import SplitMerge
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().images[:500] / 16
    >>> model = SplitMerge(10, subclusters=20, hidden=(64, 64), epochs=5, random_state=0).fit(X)
    >>> model.predict(X).shape, model.transform(X).shape
    ((500,), (500, 64))
    """

    model_name = "splitmerge"
    bound_in_words = "Information that the clusters of pairs share"

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        heads: int = 2,
        subclusters: int = 50,
        hidden: tuple[int, ...] = (512, 512),
        augmentation: float = 1.0,
        neighbours: bool = True,
        image_shape: tuple[int, ...] | None = None,
        epochs: int = 30,
        batch_size: int = 300,
        learning_rate: Any = 0.001,
        precision: str = "float32",
        scale: str = "auto",
        n_init: int = 1,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        device: str = "cpu",
        verbose: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.heads = heads
        self.subclusters = subclusters
        self.hidden = hidden
        self.augmentation = augmentation
        self.neighbours = neighbours
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.precision = precision
        self.scale = scale
        self.n_init = n_init
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def _derived(self, rows: Any, image: tuple[int, ...] | None) -> dict[str, Any]:
        shape = image if self.image_shape is None else _image_shape("SplitMerge", self._given()["image_shape"])
        if self._given()["neighbours"] is False and (shape is None or self.augmentation == 0):
            raise SettingError(
                "SplitMerge has nothing to pair a row with: let neighbours be True, or give images and an augmentation."
            )
        height, width, colours = (*(shape or (0, 0)), 1)[:3]
        return {"height": height, "width": width, "colours": colours}


def _image_shape(name: str, shape: Any) -> tuple[int, ...]:
    """A shape that was given by a parameter, once it is one."""
    sides = shape if isinstance(shape, (tuple, list)) else ()
    positive = all(isinstance(side, (int, float)) and side >= 1 and side % 1 == 0 for side in sides)
    if len(sides) not in (2, 3) or not positive:
        raise SettingError(f"{name}.image_shape must be height, width and colours, not {shape!r}.")
    return tuple(sides)
