"""CMA-ES for numbers, integers and categories at once: one distribution, and its update from a ranked population.

Equation numbers are those of Hansen (2016), "The CMA evolution strategy: a tutorial", arXiv:1604.00772. Integers keep a
margin of probability outside their present cell as in CMA-ES with margin (CMAwM, Hamano et al. 2022). Categories follow
the natural gradient with the adaptive step of CatCMA (Hamano et al. 2024), and keep a least probability as in CatCMA with
margin (Hamano et al. 2025). Members that were not drawn from the distribution are shortened as in Hansen (2011),
"Injecting external solutions into CMA-ES", arXiv:1110.4181. Everything is minimised; populations are given best first.

Notation: N numeric coordinates, some of them integers, M categories of K_1 .. K_M options (padded to K), lam members of
which the mu best have positive weights. V (lam, N) are the numbers before they are rounded, Z (lam, M) the options.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

from ..arrays import Array, Ints, Mask

Edges = Callable[[Array], tuple[Array, Array]]
"""The ends (N,), (N,) of the cells that the numbers (N,) lie in: infinite at the ends of a range and for reals."""

_TINY = 1e-8  # keeps probabilities inside (0, 1/2) and denominators positive
_FLAT = 1e-14  # smallest eigenvalue of C in units of its largest
_SNR = 1.5  # signal-to-noise ratio at which the categorical step neither grows nor shrinks (CatCMA)
_WIDER = 0.1  # standard deviation by which a warm start is widened


@dataclass(frozen=True)
class Rates:
    """Weights and learning rates, which depend on N and lam alone."""

    weights: Array  # (lam,), decreasing, the first mu positive
    mu: int
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float


@dataclass(frozen=True)
class Distribution:
    """N(mean, sigma^2 A C A) with A = diag(spread), and independent categories with probabilities q."""

    mean: Array  # (N,)
    sigma: float
    C: Array  # (N, N)
    spread: Array  # (N,) 1 for reals (CMAwM)
    path_sigma: Array  # (N,)
    path_c: Array  # (N,)
    updates: int
    q: Array  # (M, K), 0 beyond the options of a category
    signal: Array  # (M, K - 1) accumulated gradient of the categories (CatCMA)
    gamma: float  # its normaliser
    delta: float  # divisor of the categorical step

    @property
    def unit(self) -> Array:
        """Standard deviation of each number without the margin (N,)."""
        return np.asarray(self.sigma * np.sqrt(np.diag(self.C)))

    @property
    def sd(self) -> Array:
        """Standard deviation of each number, margin included (N,)."""
        return self.unit * self.spread


def start(mean: Array, C: Array, options: Ints) -> Distribution:
    """The distribution before any update: N(mean, C) and equally probable options (M,), each at least 2."""
    sigma = float(np.exp(np.log(np.diag(C)).mean() / 2)) if len(mean) else 1.0
    there = np.arange(options.max(initial=1)) < options[:, None]
    zeros = np.zeros(len(mean))
    signal = np.zeros((len(options), there.shape[1] - 1))
    q = there / np.maximum(options, 1)[:, None]
    return Distribution(mean, sigma, C / sigma**2, zeros + 1.0, zeros, zeros, 0, q, signal, 0.0, 1.0)


def warm_start(X: Array) -> tuple[Array, Array]:
    """Mean (N,) and covariance (N, N) of the good points X (n, N), widened by the variance _WIDER^2.

    Warm-starting CMA-ES (Nomura et al. 2021): the Gaussian nearest to their mixture of kernels.
    """
    mean = X.mean(0)
    return mean, (X - mean).T @ (X - mean) / len(X) + _WIDER**2 * np.eye(X.shape[1])


@lru_cache(maxsize=64)
def rates(n: int, lam: int) -> Rates:
    """The tutorial's defaults (table 1) for N = n >= 1 and lam >= 4."""
    raw = np.log((lam + 1) / 2) - np.log(np.arange(1, lam + 1))  # (49)
    mu = lam // 2
    mu_eff = raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum()
    mu_eff_minus = raw[mu:].sum() ** 2 / max((raw[mu:] ** 2).sum(), _TINY)
    c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)  # (57)
    c_mu = min(1 - c_1 - _TINY, 2 * (mu_eff - 2 + 1 / mu_eff) / ((n + 2) ** 2 + mu_eff))  # (58)
    most = min(
        1 + c_1 / c_mu,  # (50)
        1 + 2 * mu_eff_minus / (mu_eff + 2),  # (51)
        (1 - c_1 - c_mu) / (n * c_mu),  # (52)
    )
    below = max(-raw[raw < 0].sum(), _TINY)
    weights = np.where(raw >= 0, raw / raw[raw > 0].sum(), most * raw / below)  # (53)
    weights.setflags(write=False)
    c_sigma = (mu_eff + 2) / (n + mu_eff + 5)
    d_sigma = 1 + 2 * max(0.0, np.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma  # (55)
    c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)  # (56)
    return Rates(weights, mu, *map(float, (mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu)))


def margin(integers: int, categories: int) -> float:
    """The least probability that a category leaves its mode. If integers leave theirs with it as well, all of them
    together stay with a probability of 0.73 (Hamano et al. 2025)."""
    return float(1 - 0.73 ** (1 / max(integers + categories, 1)))


def sample(dist: Distribution, n: int, rng: np.random.Generator) -> tuple[Array, Ints]:
    """n draws: V (n, N) and Z (n, M)."""
    B, D = _eigen(dist.C)
    Y = (rng.standard_normal((n, len(dist.mean))) @ (B * D)) @ B.T  # (38), (39) with the symmetric root of C
    V = dist.mean + dist.sigma * dist.spread * Y  # (40), CMAwM
    below = dist.q.cumsum(1)[None] <= rng.random((n, len(dist.q), 1))
    last = (dist.q > 0).sum(1) - 1
    return V, np.minimum(below.sum(2), last).astype(np.intp)


def update(
    dist: Distribution, V: Array, Z: Array | Ints, foreign: Mask, edges: Edges, alpha: float, box: tuple[Array, Array]
) -> Distribution:
    """The distribution after a population, best first.

    Members that are `foreign` (lam,), that is not drawn from `dist`, are brought so near that their step is no longer
    than usual. Categories leave their mode with a probability of `alpha` at least, integers their cell with 1/(N lam),
    which CMAwM recommends and which measured better than `alpha`. The mean stays in the `box`, two arrays (N,).
    """
    lam, n = V.shape
    rate = rates(max(n, 1), lam)
    if n:
        dist = _bordered(_numbers(dist, V, foreign, rate, box), edges, 1 / (n * lam))
    if len(dist.q):
        dist = _categories(dist, np.asarray(Z, dtype=np.intp), rate, alpha)
    return replace(dist, updates=dist.updates + 1)


def converged(dist: Distribution, smallest: float) -> bool:
    """Whether sampling has nothing more to find: standard deviations below `smallest`, or a degenerate C."""
    if not len(dist.mean):
        return False
    return not smallest <= dist.unit.max() <= 1e8 or np.linalg.cond(dist.C) > 1 / _FLAT


def _eigen(C: Array) -> tuple[Array, Array]:
    """B and D with C = B D^2 B^T."""
    D2, B = np.linalg.eigh(C)
    return B, np.sqrt(np.maximum(D2, _FLAT * D2.max(initial=0.0)))


def _numbers(dist: Distribution, V: Array, foreign: Mask, rate: Rates, box: tuple[Array, Array]) -> Distribution:
    """One update of mean, sigma and C.

    Members beyond the box count as they were drawn, though they are measured on its boundary: so an optimum there is met
    exactly, and C sees all of its distribution. The mean stays inside, and the paths go by the way that it has moved: else
    steps against the boundary would look like progress, and sigma would grow.
    """
    n = len(dist.mean)
    B, D = _eigen(dist.C)
    Y = (V - dist.mean) / (dist.sigma * dist.spread)  # ~ N(0, C)
    lengths = np.linalg.norm((Y @ B) / D, axis=1)  # of C^(-1/2) y
    usual = np.sqrt(n) + 2 * n / (n + 2)
    shorter = np.where(foreign, np.minimum(1, usual / np.maximum(lengths, _TINY)), 1.0)  # Hansen 2011, eq. 4
    Y, lengths = Y * shorter[:, None], lengths * shorter
    y_w = rate.weights[: rate.mu] @ Y[: rate.mu]  # (41)
    mean = np.clip(dist.mean + dist.sigma * dist.spread * y_w, *box)  # (42) with c_m = 1
    y_w = (mean - dist.mean) / (dist.sigma * dist.spread)
    gain = np.sqrt(rate.c_sigma * (2 - rate.c_sigma) * rate.mu_eff)
    path_sigma = (1 - rate.c_sigma) * dist.path_sigma + gain * (B @ ((B.T @ y_w) / D))  # (43)
    length = np.linalg.norm(path_sigma)
    chi = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))  # E |N(0, I)|
    sigma = dist.sigma * np.exp(min(1.0, rate.c_sigma / rate.d_sigma * (length / chi - 1)))  # (44)
    whole = np.sqrt(1 - (1 - rate.c_sigma) ** (2 * (dist.updates + 1)))
    h = float(length / whole < (1.4 + 2 / (n + 1)) * chi)
    path_c = (1 - rate.c_c) * dist.path_c + h * np.sqrt(rate.c_c * (2 - rate.c_c) * rate.mu_eff) * y_w  # (45)
    w = rate.weights * np.where(rate.weights >= 0, 1, n / np.maximum(lengths**2, _TINY))  # (46)
    kept = 1 + rate.c_1 * (1 - h) * rate.c_c * (2 - rate.c_c) - rate.c_1 - rate.c_mu * rate.weights.sum()
    C = kept * dist.C + rate.c_1 * np.outer(path_c, path_c) + rate.c_mu * (Y.T * w) @ Y  # (47)
    return replace(dist, mean=mean, sigma=float(sigma), C=(C + C.T) / 2, path_sigma=path_sigma, path_c=path_c)


def _bordered(dist: Distribution, edges: Edges, alpha: float) -> Distribution:
    """Mean and spread moved as little as leaves each integer enough probability outside its cell (CMAwM, section 4)."""
    low, up = edges(dist.mean)
    sd = dist.sd
    has_low, has_up = np.isfinite(low), np.isfinite(up)
    reach = sd * ndtri(1 - alpha)  # how far an edge may be that is crossed with probability alpha
    mean = np.where(has_up & ~has_low, np.maximum(dist.mean, up - reach), dist.mean)
    mean = np.where(has_low & ~has_up, np.minimum(dist.mean, low + reach), mean)
    inner = has_low & has_up
    low, up = np.where(inner, low, -1.0), np.where(inner, up, 1.0)
    p_low, p_up = ndtr((low - mean) / sd), ndtr((mean - up) / sd)
    p_mid = 1 - p_low - p_up
    p_low, p_up = np.maximum(p_low, alpha / 2), np.maximum(p_up, alpha / 2)
    excess = (1 - p_low - p_up - p_mid) / (p_low + p_up + p_mid - 1.5 * alpha)
    p_low, p_up = (np.clip(p + excess * (p - alpha / 2), _TINY, 0.5 - _TINY) for p in (p_low, p_up))
    z_low, z_up = ndtri(1 - p_low), ndtri(1 - p_up)  # low = mean - z_low sd, up = mean + z_up sd
    mean = np.where(inner, (low * z_up + up * z_low) / (z_low + z_up), mean)
    spread = np.where(inner, (up - low) / (dist.unit * (z_low + z_up)), dist.spread)
    return replace(dist, mean=mean, spread=spread)


def _categories(dist: Distribution, Z: Ints, rate: Rates, alpha: float) -> Distribution:
    """One step of the probabilities along the natural gradient, of adaptive length (CatCMA, Akimoto et al. 2019)."""
    q, options = dist.q, (dist.q > 0).sum(1)
    chosen = np.arange(q.shape[1]) == Z[: rate.mu, :, None]
    slope = np.tensordot(rate.weights[: rate.mu], chosen - q, axes=1)  # natural gradient (M, K)
    rooted = _rooted(slope, q, options)
    length = np.linalg.norm(rooted)
    if length < _TINY:
        return dist
    beta = min(1.0, 1 / (dist.delta * np.sqrt((options - 1).sum())))
    signal = (1 - beta) * dist.signal + np.sqrt(beta * (2 - beta)) * rooted / length
    gamma = (1 - beta) ** 2 * dist.gamma + beta * (2 - beta)
    delta = dist.delta * np.exp(beta * (gamma - (signal**2).sum() / _SNR))
    q = _floored(q + slope / (dist.delta * length), q > 0, alpha / (options[:, None] - 1))
    return replace(dist, q=q, signal=signal, gamma=float(gamma), delta=float(np.clip(delta, _TINY, 1 / _TINY)))


def _rooted(slope: Array, q: Array, options: Ints) -> Array:
    """The root of the Fisher information times the natural gradient: (M, K - 1), in all but each last option."""
    rows, last = np.arange(len(q)), options - 1
    free = np.arange(q.shape[1]) < last[:, None]
    end = q[rows, last]
    rest = np.where(free, slope, 0.0).sum(1) / (end + np.sqrt(end))
    root = np.sqrt(np.where(free, q, 1.0))
    return np.where(free, slope / root + root * rest[:, None], 0.0)[:, :-1]


def _floored(q: Array, there: Mask, least: Array) -> Array:
    """Probabilities of at least `least` (M, 1) where there is an option, summing to 1."""
    q = np.where(there, np.maximum(q, least), 0.0)
    above = np.where(there, q - least, 0.0)
    q = q + (1 - q.sum(1, keepdims=True)) * above / above.sum(1, keepdims=True)
    return np.asarray(q / q.sum(1, keepdims=True))
