"""What measuring the finalists again is worth: a race, against equal runs for all, against `best`, against the luckiest value.

    python benchmarks/racing.py [--studies 204] [--trials 100]

Studies of random settings on the problems of benchmarks/noisy.py, with noise of 0.3, 1 and 2 times the spread of the true
loss. *Loss*: the true loss of the setting that is named, above that of the truly best one that was tried, in units of that
spread. Equal: four runs of each of the five finalists; race: as many runs at most, spent as `Study.evidence` does.

*With a limit* half of the settings keep it in the search. Where finalists run again it lies closer, as for a model that is
trained on more rows, and varies from run to run: the search's value is off by a fifth of the spread of the limited metric,
each run by a tenth. *Kept*: the share of studies whose setting truly keeps the limit in at least 95 % of runs; loss is above
the best setting that does. *Runs*: spent on the finalists.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import time
from collections.abc import Sequence

import numpy as np
from figures import error, write
from noisy import Problem, problems, told
from scipy.stats import norm

import trimtab as tt
from trimtab.engine.incumbents import Candidate
from trimtab.evidence.race import ENOUGH, Entrants, Measure, race
from trimtab.evidence.selection import posterior
from trimtab.goals import Goal
from trimtab.proof.finalists import POOL
from trimtab.records import StudySpec
from trimtab.space import Params
from trimtab.standing import Standings, standings

FINALISTS = 5
MOST = ENOUGH * FINALISTS
SHIFT, WOBBLE = 0.2, 0.1  # of the limited metric, in units of its spread
HEAD = ["noise / signal", "studies", "luckiest", "best", "equal runs", "race", "runs", "race - equal", "se"]
LIMIT_HEAD = ["noise / signal", "studies", "best loss", "race loss", "best kept", "race kept", "runs"]


def found(p: Problem, seen: np.ndarray, settings: Sequence[Params], keeps: np.ndarray) -> Standings:
    return standings(StudySpec("racing", p.space, (Goal("loss", False),)), told(settings, seen, keeps))


def entered(p: Problem, made: Standings, pool: Sequence[Candidate], searched: np.ndarray) -> Entrants:
    rows = p.space.encode([c.params for c in pool])
    return Entrants(*made.losses(pool, rows), searched, made.noise)


def dealt(losses: np.ndarray, excess: np.ndarray) -> Measure:
    """Deals out the columns of losses (k, r) and excess (k, r, c) as they are asked for."""

    def measure(runs: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        had = np.arange(losses.shape[1]) < np.array(runs)[:, None]
        return np.where(had, losses, np.nan), np.where(had[:, :, None], excess, np.nan)

    return measure


def free(p: Problem, ratio: float, seed: int, trials: int) -> list[float]:
    """Losses of the luckiest, of `best`, after equal runs, after a race; and its runs."""
    rng = np.random.default_rng([seed, round(10 * ratio), *map(ord, p.name)])
    settings = p.space.decode(p.space.sample(trials, rng))
    true, sd = np.array([p.loss(s) for s in settings]), ratio * p.signal
    seen = true + sd * rng.standard_normal(trials)
    made = found(p, seen, settings, np.ones(trials, dtype=bool))
    first = made.finalists(FINALISTS)
    pool = [c.number for c in first]
    who = entered(p, made, first, np.empty((len(pool), 0)))
    fresh = true[pool][:, None] + sd * rng.standard_normal((len(pool), MOST))
    if len(pool) == 1:
        equal, won, runs = pool[0], pool[0], [0]
    else:
        equal = pool[int(np.argmin(posterior(who.prior, who.covariance, fresh[:, :ENOUGH], who.noise).mean))]
        winner, runs = race(who, len(pool), MOST, dealt(fresh, np.empty((*fresh.shape, 0))))
        won = pool[winner]
    named = true[[int(np.argmin(seen)), pool[0], equal, won]]
    return [*((named - true.min()) / p.signal), float(sum(runs))]


def limited(p: Problem, ratio: float, seed: int, trials: int) -> list[float]:
    """Losses of `best` and after a race, whether each keeps the limit, and the runs of the race."""
    rng = np.random.default_rng([seed, round(10 * ratio), 1, *map(ord, p.name)])
    settings = p.space.decode(p.space.sample(trials, rng))
    true, sd = np.array([p.loss(s) for s in settings]), ratio * p.signal
    size = rng.standard_normal(trials) - 0.5 * (true - true.mean()) / p.signal  # what is good is large
    size -= np.median(size)
    seen = true + sd * rng.standard_normal(trials)
    made = found(p, seen, settings, size <= 0)
    first = made.finalists(FINALISTS)
    every = first + [s.candidate for s in made.order[:POOL] if s.candidate not in first]
    pool = [c.number for c in every]
    after = size + SHIFT
    shape = (len(pool), 2 * MOST)
    fresh = true[pool][:, None] + sd * rng.standard_normal(shape)
    excess = (after[pool][:, None] + WOBBLE * rng.standard_normal(shape))[:, :, None]
    winner, runs = race(entered(p, made, every, size[pool][:, None]), len(first), MOST, dealt(fresh, excess))
    keeps = norm.cdf(-after / WOBBLE) >= 0.95
    named = [pool[0], pool[winner]]
    least = true[keeps].min()
    return [*((true[named] - least) / p.signal), *keeps[named].astype(float), float(sum(runs))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=204, help="of each noise")
    parser.add_argument("--trials", type=int, default=100)
    asked = parser.parse_args()
    began, every = time.process_time(), problems()
    table: list[Sequence[object]] = []
    for head, play in ((HEAD, free), (LIMIT_HEAD, limited)):
        rows = {
            ratio: [play(p, ratio, s, asked.trials) for s in range(max(1, asked.studies // len(every))) for p in every]
            for ratio in (0.3, 1.0, 2.0)
        }
        lines = [(f"{ratio:g}", part) for ratio, part in rows.items()]
        lines.append(("all", [r for part in rows.values() for r in part]))
        table.append(head)
        print(" | ".join(f"{h:>14}" for h in head))
        for name, part in lines:
            figures = list(np.mean(part, axis=0))
            if play is free:
                d = np.array([r[3] - r[2] for r in part])
                figures += [d.mean(), error(d)]
            table.append([name, len(part), *figures])
            print(" | ".join([f"{name:>14}", f"{len(part):>14}", *(f"{v:>14.3f}" for v in figures)]), flush=True)
    target = write("racing", table)
    print(f"Trimtab {tt.__version__}, {time.process_time() - began:.0f} s of CPU; {target}")


if __name__ == "__main__":
    main()
