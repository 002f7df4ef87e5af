"""CMA-ES for spaces of any mix of types: many results, cheap proposals.

The search is a fold over the rows. A generation's points are a stream, drawn from its distribution by the study's seed
and the generation's number. So the key of a told row says whether it is a member of the generation, and which numbers
it was rounded from. The distribution is updated once lam members have results: those that arrived, in any order, and
those of points that the record already knows. A late member of the previous generation counts, too. Of the rows from
elsewhere, the best is a member if it beats all others. Before the first member, rows from elsewhere warm-start the
distribution. Folding in a row is all that `tell` does, hence the law of `tell`.

Notation: lam members of a generation; V, Z as in `numerics.cmaes`; a position is an index in the stream.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..arrays import HUGE, Array, Ints
from ..numerics import cmaes
from ..numerics.cmaes import Distribution
from ..numerics.tally import Tally
from . import Problem, Proposal, Rows
from .coordinates import Coordinates
from .points import Taken, unseen
from .scalarisation import scalarised

_SD, _STEP = 1 / 4, 3 / 4  # of the first distribution, and how far its members are from its mean at most: see `_wide`
_LENGTH = 3  # points of a stream, in units of lam
_ROUNDS = 8  # times that rows which are not allowed are drawn again
_BEST = 0.1  # share of the rows from elsewhere that a warm start uses
_NEWS = 10  # a warm start is redone when a tenth more rows are known, so that folding a long record takes linear time
_SMALLEST = 1e-8  # standard deviation, below which the search starts again
_DOUBLINGS = 6  # of lam by restarts, at most
_FREE = 10  # generations that one row may complete: earlier results may be all that the next ones need
_EXTRA = 64  # points that are drawn at once when the stream is used up


@dataclass(frozen=True)
class Stream:
    """The points of one generation, in the order in which they are proposed."""

    X: Array  # (length, d) snapped and allowed
    V: Array  # (length, N)
    Z: Ints  # (length, M)
    at: Mapping[bytes, tuple[int, ...]]  # key of a point -> its positions


@dataclass(frozen=True)
class Member:
    """A result that the next update uses: the row, and what it was rounded from."""

    row: int
    v: Array  # (N,)
    z: Ints  # (M,)
    position: int | None = None  # None: not of this generation's stream


@dataclass(frozen=True)
class Generation:
    """The search at one moment."""

    dist: Distribution
    lam: int
    number: int  # of generations before, restarts included
    restarts: int
    origin: int  # rows from which the first distribution was made
    stream: Stream
    before: "Generation | None" = None  # whose members may still come
    begun: bool = False  # whether a member has ever been told
    members: tuple[Member, ...] = ()
    guest: int | None = None  # best row from elsewhere since the last update
    best: int | None = None  # best row of this run
    stalled: int = 0  # generations since it was found


@dataclass(frozen=True)
class State:
    """All rows, and the search that they led to."""

    problem: Problem
    rows: Rows
    known: Mapping[bytes, tuple[int, ...]]  # key of a point -> its rows
    now: Generation


@dataclass(frozen=True)
class CMA:
    """Covariance matrix adaptation with margin, restarts with doubled populations, and warm start (see the module)."""

    name: str = "cma"
    version: str = "4"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "many goals"})

    def init(self, problem: Problem) -> State:
        with np.errstate(all="ignore"):
            return State(problem, problem.no_rows, {}, _first(problem, problem.no_rows))

    def tell(self, state: State, rows: Rows) -> State:
        told, known, now = state.rows + rows, dict(state.known), state.now
        search = _Search(state.problem, told, known)
        with np.errstate(all="ignore"):
            for row, key in enumerate(state.problem.space.keys(rows.X), start=len(state.rows)):
                known[key] = (*known.get(key, ()), row)
                now = search.forward(search.after(now, row, key))
        return State(state.problem, told, known, now)

    def ask(self, state: State, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        problem, now = state.problem, state.now
        counts = Counter({key: len(rows) for key, rows in state.known.items()})
        taken = Taken(problem.space, problem.replicates, Tally((counts,))).plus(pending)
        X = now.stream.X[taken.admitted(now.stream.X, n)]
        rest = X[:0]
        if len(X) < n:
            with np.errstate(all="ignore"):
                more = _draw(problem, now.dist, _EXTRA, rng)[0]
            X = np.concatenate([X, more[taken.plus(X).admitted(more, n - len(X))]])
            rest = unseen(taken.plus(X), n - len(X), rng)
        why = {"design": "cma", "generation": now.number, "population": now.lam, "restarts": now.restarts}
        why |= {"sigma": now.dist.sigma, "warm": now.origin}
        return [Proposal(x, why=why) for x in X] + [Proposal(x, why={"design": "random"}) for x in rest]


def population(problem: Problem) -> int:
    """Members of a generation: Hansen's default (48)."""
    return 4 + int(3 * np.log(max(len(Coordinates.of(problem.space)), 1)))


def ranked(problem: Problem, rows: Rows, chosen: Sequence[int] | Ints, restarts: int = 0) -> Ints:
    """The order of the chosen rows from best to worst: feasible ones by goal, others by violation, failed ones last.

    With several goals, each restart uses another weighting of them.
    """
    index = np.asarray(chosen, dtype=np.intp)
    Y, C = rows.Y[index], rows.C[index]
    failed = np.asarray(np.isnan(Y).any(1))
    weights = np.random.default_rng([problem.seed, restarts]).dirichlet(np.ones(problem.goals))
    excess = np.clip(np.where(np.isnan(C), np.inf, C), 0.0, HUGE)
    excess = (excess / np.maximum(excess.max(0, initial=0.0), 1 / HUGE)).sum(1)
    return np.lexsort((scalarised(Y, failed, weights)[:, 0], excess, failed))


def _draw(problem: Problem, dist: Distribution, n: int, rng: np.random.Generator) -> tuple[Array, Array, Ints]:
    """n allowed points X (n, d) of the distribution, with V and Z: drawn again, then replaced, if not allowed."""
    space, coordinates = problem.space, Coordinates.of(problem.space)
    V, Z = cmaes.sample(dist, n, rng)
    for _ in range(_ROUNDS):
        bad = np.flatnonzero(~space.allowed(coordinates.rows(V, Z)))
        if not len(bad):
            break
        V[bad], Z[bad] = cmaes.sample(dist, len(bad), rng)
    X = space.snap(coordinates.rows(V, Z))
    bad = np.flatnonzero(~space.allowed(X))
    if len(bad):
        X[bad] = space.sample(len(bad), rng)
        V[bad], Z[bad] = coordinates.parts(X[bad], V[bad], Z[bad])
    return X, V, Z


def _stream(problem: Problem, dist: Distribution, lam: int, name: tuple[int, ...]) -> Stream:
    """The stream of a generation: a function of its distribution, the study's seed and its name."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([problem.seed, *name])))
    X, V, Z = _draw(problem, dist, _LENGTH * lam, rng)
    at: dict[bytes, tuple[int, ...]] = {}
    for position, key in enumerate(problem.space.keys(X)):
        at[key] = (*at.get(key, ()), position)
    return Stream(X, V, Z, at)


def _wide(n: int) -> Array:
    """The covariance (n, n) of a distribution that nothing is known of: each standard deviation is _SD of the range, and less
    in many dimensions, where members are sqrt n times as far from the mean."""
    return np.asarray(np.eye(n) * min(_SD, _STEP / np.sqrt(max(n, 1))) ** 2)


def _first(problem: Problem, rows: Rows) -> Generation:
    """The first generation after rows that all come from elsewhere: fitted to the best of them if there are enough."""
    coordinates, lam = Coordinates.of(problem.space), population(problem)
    n = len(coordinates.numbers)
    mean, C = np.full(n, 0.5), _wide(n)
    order = ranked(problem, rows, range(len(rows)))
    order = order[~rows.failed[order]]
    if len(order) >= 2 * lam:
        best = rows.X[order[: max(int(_BEST * len(order)), 2)]]
        mean, C = cmaes.warm_start(coordinates.parts(best, mean, coordinates.options * 0)[0])
    dist = cmaes.start(mean, C, coordinates.options)
    return Generation(dist, lam, 0, 0, len(rows), _stream(problem, dist, lam, (len(rows), 0)))


@dataclass(frozen=True)
class _Search:
    """How the search continues, given the results; only those of earlier rows are used."""

    problem: Problem
    rows: Rows
    known: Mapping[bytes, tuple[int, ...]]

    def after(self, now: Generation, row: int, key: bytes) -> Generation:
        """The generation after one more row."""
        before = now.before
        if not now.begun and key not in now.stream.at and before is not None and key in before.stream.at:
            now, before = before, None  # rows from elsewhere only overtook this member: the earlier generation goes on
        if key in now.stream.at:
            joined = (*now.members, *self._members(now, row, key))
            return replace(now, begun=True, members=joined)
        if now.begun and before is not None and key in before.stream.at:
            position = before.stream.at[key][0]
            late = Member(row, before.stream.V[position], before.stream.Z[position])
            return replace(now, members=(*now.members, late))
        if now.begun:
            return replace(now, guest=self._better(now, now.guest, row))
        if row + 1 - now.origin >= max(2 * now.lam, now.origin // _NEWS):
            return replace(_first(self.problem, self.rows[: row + 1]), before=replace(now, before=None))
        return now

    def forward(self, now: Generation) -> Generation:
        """Advance as far as the results allow."""
        for _ in range(_FREE):
            if len(now.members) < now.lam:
                break
            now = self._next(now)
        return now

    def _members(self, now: Generation, row: int, key: bytes) -> Iterator[Member]:
        """The members that a result at a point of the stream makes: several, if the point occurs more than once in it."""
        there = {m.position for m in now.members}
        positions = [p for p in now.stream.at[key] if p not in there]
        for p in [p for p in positions if p < now.lam] or positions[:1]:
            yield Member(row, now.stream.V[p], now.stream.Z[p], p)

    def _better(self, now: Generation, old: int | None, new: int) -> int | None:
        """The better one of two rows, the old one if they are equal."""
        if np.isnan(self.rows.Y[new]).any():
            return old
        return new if old is None else (old, new)[ranked(self.problem, self.rows, (old, new), now.restarts)[0]]

    def _next(self, now: Generation) -> Generation:
        """The generation after a full one."""
        members = self._selected(now)
        coordinates, best = Coordinates.of(self.problem.space), self._better(now, now.best, members[0].row)
        stalled = now.stalled + 1 if best == now.best else 0
        dist = now.dist
        if not np.isnan(self.rows.Y[members[0].row]).any():  # else nothing has succeeded
            V, Z = np.stack([m.v for m in members]), np.stack([m.z for m in members])
            foreign = np.array([m.position is None for m in members])
            alpha = cmaes.margin(*coordinates.discrete)
            dist = cmaes.update(dist, V, Z, foreign, coordinates.edges, alpha, coordinates.box)
        if stalled > 30 + 50 * len(coordinates) / now.lam or cmaes.converged(dist, _SMALLEST):
            return self._restarted(now)
        return self._opened(replace(now, dist=dist, before=replace(now, before=None), best=best, stalled=stalled))

    def _selected(self, now: Generation) -> list[Member]:
        """lam members from best to worst. A row from elsewhere that beats them all replaces the worst."""
        members = now.members[: now.lam]
        chosen = [m.row for m in members]
        guests = [] if now.guest is None else [now.guest]
        order = ranked(self.problem, self.rows, chosen + guests, now.restarts)
        if order[0] < now.lam:
            return [members[i] for i in order if i < now.lam]
        coordinates = Coordinates.of(self.problem.space)
        mode = now.dist.q.argmax(1) if len(now.dist.q) else coordinates.options
        V, Z = coordinates.parts(self.rows.X[guests], now.dist.mean, mode)
        return [Member(guests[0], V[0], Z[0]), *(members[i] for i in order[1:-1])]

    def _restarted(self, now: Generation) -> Generation:
        """Restart from another point, with a population twice as large (Auger and Hansen 2005)."""
        restarts = now.restarts + 1
        coordinates = Coordinates.of(self.problem.space)
        rng = np.random.default_rng([self.problem.seed, restarts, 1])
        n = len(coordinates.numbers)
        dist = cmaes.start(rng.random(n), _wide(n), coordinates.options)
        lam = population(self.problem) * 2 ** min(restarts, _DOUBLINGS)
        return self._opened(replace(now, dist=dist, lam=lam, restarts=restarts, before=None, best=None, stalled=0))

    def _opened(self, now: Generation) -> Generation:
        """A generation of the distribution `now.dist`: existing results at its points count."""
        number = now.number + 1
        stream = _stream(self.problem, now.dist, now.lam, (now.origin, number))
        members = sorted((p, self.known[key][-1]) for key, at in stream.at.items() if key in self.known for p in at)
        known = tuple(Member(row, stream.V[p], stream.Z[p], p) for p, row in members if p < now.lam)
        return replace(now, number=number, stream=stream, members=known, guest=None)
