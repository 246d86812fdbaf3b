"""Estimators of densities of bits: variational, importance-weighted and ladder autoencoders."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import DensityMixin
from torch import Tensor

from genclust.estimators.base import SEED_OF_USE, GenerativeEstimator, check_n_samples
from genclust.kernels import LogMeanExp
from genclust.streams import Noise, noise_on
from genclust.training.schedules import Schedule

#: Rows and samples whose log-weights are computed at once.
ROWS, SAMPLES = 200, 50


class SharedNoise(Noise):
    """Noise whose second axis, the rows, all see the same draws, so that a row's estimate depends on the row alone."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise

    def at(self, counter: int | Tensor) -> SharedNoise:
        self.noise.at(counter)
        return self

    def uniform(self, *shape: int) -> Float[Tensor, R * shape]:
        return self.noise.uniform(shape[0], 1, *shape[2:]).expand(-1, *shape)

    def normal(self, *shape: int) -> Float[Tensor, R * shape]:
        return self.noise.normal(shape[0], 1, *shape[2:]).expand(-1, *shape)


class DensityEstimator(DensityMixin, GenerativeEstimator):
    """Base class of the estimators of a density of bits.

    Attributes
    ----------
    bounds_, seeds_, histories_, best_ : of every seed
        Its bound on held-out rows in nats (minus infinity if its training diverged), its seed, its learning curve; and
        which one was kept.
    scheduled_ : dict of float
        What a warm-up had come to at the end of training.
    """

    @torch.no_grad()
    def score_samples(self, X: Any, n_samples: int = 100) -> Float[np.ndarray, " N"]:
        """Log-likelihood of every row, in nats, by importance sampling.

        Parameters
        ----------
        X : as in :meth:`fit`
            Rows: grey values, of which one draw of bits is scored, the same at every call.
        n_samples : int
            Importance samples per row; the estimate rises towards the log-likelihood with their number.

        Returns
        -------
        ndarray of shape (n_samples,)
            Estimates of log p(x).

        Raises
        ------
        NotFittedError, ValueError
            As of :meth:`transform`; or if ``n_samples`` is no whole number of 1 or more.
        """
        check_n_samples(n_samples)
        return self._outputs(X, lambda x: self._log_likelihood(x, int(n_samples)))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-likelihood per row, in nats; see :meth:`score_samples`.

        Parameters
        ----------
        X : as in :meth:`fit`
            Rows.
        y : Ignored
            Not used; here by convention.

        Returns
        -------
        float
            The mean over rows.

        Raises
        ------
        NotFittedError, ValueError
            As of :meth:`transform`.
        """
        return float(self.score_samples(X).mean(dtype=np.float64))

    def _log_likelihood(self, x: Float[Tensor, "1 B D"], n_samples: int) -> Float[Tensor, "1 B"]:
        model = cast(Any, self.model_)
        noise = SharedNoise(noise_on(x.device, [SEED_OF_USE], "importance samples"))
        results = []
        for rows in x.split(ROWS, 1):
            inferred, running = model.infer(rows), LogMeanExp()
            for i, start in enumerate(range(0, n_samples, SAMPLES)):
                n = min(SAMPLES, n_samples - start)
                running.update(model.log_weights(rows, inferred, n, noise.at(i)))
            results.append(running.result())
        return torch.cat(results, 1)


class VAE(DensityEstimator):
    """Variational autoencoder of bits, with one or more stochastic layers.

    The model of Kingma and Welling (2014) in the networks of Burda, Grosse and Salakhutdinov (2016),
    :class:`genclust.models.iwae.IWAE`.  Rows are bits, or grey values in [0, 1] as their probabilities: bits are drawn
    anew at every step of training, and once, from what a row holds, for :meth:`score_samples` and the other methods.
    Continuous columns lose most of their information in this way;
    :class:`genclust.estimators.clustering.GumbelClustering` and :class:`genclust.estimators.clustering.GMVAE` take
    values as they are.

    Parameters
    ----------
    z_dims : tuple of int
        Dimensions of the stochastic layers, from the data upwards; :meth:`transform` returns the lowest one.
    hidden : tuple of int
        Width of the two deterministic layers below each of them.
    samples : int
        Samples per row and step.
    epochs, batch_size : int
        Passes over the rows, and rows per step.
    learning_rate : float or pair of float
        Of Adam: constant, or falling from the first to the second in the paper's eight stages.
    precision, scale, n_init, validation_fraction, random_state, device, verbose
        As of :class:`genclust.estimators.clustering.GumbelClustering`; ``scale='auto'`` brings other values to [0, 1].

    Examples
    --------
    >>> from genclust import VAE
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data[:500] / 16
    >>> model = VAE(z_dims=(4,), hidden=(32,), epochs=2, random_state=0).fit(X)
    >>> model.score_samples(X).shape, model.transform(X).shape
    ((500,), (500, 4))
    """

    model_name = "iwae"
    model_constants: ClassVar = {"objective": "vae"}
    training_constants: ClassVar = {"adam_epsilon": 5e-6}

    def __init__(
        self,
        z_dims: tuple[int, ...] = (50,),
        *,
        hidden: tuple[int, ...] = (200,),
        samples: int = 1,
        epochs: int = 3280,
        batch_size: int = 20,
        learning_rate: Any = (0.001, 0.0001),
        precision: str = "float32",
        scale: str = "auto",
        n_init: int = 1,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        device: str = "cpu",
        verbose: int = 0,
    ) -> None:
        self.z_dims = z_dims
        self.hidden = hidden
        self.samples = samples
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

    def _schedules(self) -> dict[str, Schedule]:
        return {"learning_rate": self._schedule("learning_rate", "stages")}


class IWAE(VAE):
    """Importance-weighted autoencoder of bits (Burda, Grosse and Salakhutdinov, 2016).

    Trained on the logarithm of the mean of several importance weights, a tighter bound than that of a :class:`VAE`, and
    like it on bits, of which continuous columns keep little information.

    Parameters
    ----------
    samples : int
        Importance samples per row and step, k.
    z_dims, hidden, epochs, batch_size, learning_rate, precision, scale, n_init, validation_fraction, random_state, \
            device, verbose
        As of :class:`VAE`.

    Examples
    --------
    >>> from genclust import IWAE
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data[:500] / 16
    >>> IWAE(z_dims=(4,), hidden=(32,), samples=5, epochs=2, random_state=0).fit(X).reconstruct(X).shape
    (500, 64)
    """

    model_constants: ClassVar = {"objective": "iwae"}

    def __init__(
        self,
        z_dims: tuple[int, ...] = (50,),
        *,
        hidden: tuple[int, ...] = (200,),
        samples: int = 50,
        epochs: int = 3280,
        batch_size: int = 20,
        learning_rate: Any = (0.001, 0.0001),
        precision: str = "float32",
        scale: str = "auto",
        n_init: int = 1,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        device: str = "cpu",
        verbose: int = 0,
    ) -> None:
        super().__init__(
            z_dims,
            hidden=hidden,
            samples=samples,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            precision=precision,
            scale=scale,
            n_init=n_init,
            validation_fraction=validation_fraction,
            random_state=random_state,
            device=device,
            verbose=verbose,
        )


class LVAE(DensityEstimator):
    """Ladder variational autoencoder of bits (Sønderby et al., 2016).

    The model :class:`genclust.models.ladder.LVAE`, with the authors' five layers.  Rows are bits or grey values, of
    which bits are drawn as by a :class:`VAE`: continuous columns lose most of their information.

    Parameters
    ----------
    z_dims, hidden : tuple of int
        Dimensions of the stochastic layers, from the data upwards, and widths of the two layers of each.
    warm_up : float
        Share of all epochs over which the latent terms of the bound are faded in; 0 for none.
    epochs, batch_size, learning_rate, precision, scale, n_init, validation_fraction, random_state, device, verbose
        As of :class:`genclust.estimators.clustering.GumbelClustering`; ``scale='auto'`` brings other values to [0, 1].

    Examples
    --------
    >>> from genclust import LVAE
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data[:500] / 16
    >>> LVAE((8, 4), hidden=(32, 16), epochs=2, random_state=0).fit(X).score_samples(X).shape
    (500,)
    """

    model_name = "lvae"
    training_constants: ClassVar = {"clip_norm": 4.0, "adam_epsilon": 1e-4}

    def __init__(
        self,
        z_dims: tuple[int, ...] = (64, 32, 16, 8, 4),
        *,
        hidden: tuple[int, ...] = (512, 256, 128, 64, 32),
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
        self.z_dims = z_dims
        self.hidden = hidden
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

    def _schedules(self) -> dict[str, Schedule]:
        return self._warm_up()
