"""The unit of reward that multipliers are multiples of: a running range of action values."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array, ""]

QUANTILES = (0.05, 0.95)
RATE = 0.01
"""Step of the running range towards that of a minibatch."""
SMALLEST = 1e-6


def value_range(q: Float[Array, " B"]) -> Scalar:
    """The distance between the 5 % and the 95 % quantile of action values, at least 10⁻⁶.

    As in the return normalisation of DreamerV3 (Hafner et al. 2023), which outliers don't move.
    """
    low, high = jnp.quantile(q, jnp.asarray(QUANTILES))
    return jnp.maximum(high - low, SMALLEST)


def running_range(unit: Scalar, q: Float[Array, " B"], first: Scalar) -> Scalar:
    """The range of the first minibatch (`first` > 0), later an exponential mean of those seen so far."""
    now = value_range(q)
    return jnp.where(first > 0.0, now, unit + RATE * (now - unit))
