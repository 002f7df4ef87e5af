"""What was searched, by what means, and what that took."""

from collections import Counter
from collections.abc import Sequence

from ...formatting import duration, moment, number, plural, setting, size, value
from ...records import Budget, Cost, Event, StudySpec, Trial
from ...records.usage import UNITS
from ...space import UNSET, Choice, Parameter
from ..facts import Facts
from ..origins import Source
from .table import Pairs, Table, traced


def space_table(spec: StudySpec, source: Source) -> Table:
    """Every parameter."""
    head = ("Parameter", "Type", "Values", "Scale", "Default", "Active when")
    rows = [[name, p.type, _domain(p), _scale(p), _default(p), _when(p)] for name, p in spec.space.params.items()]
    return Table(head, traced(rows, source))


def _domain(p: Parameter) -> str:
    if isinstance(p, Choice):
        return ", ".join(value(v) for v in p.options) + (
            f"; retired: {', '.join(map(value, p.retired))}" if p.retired else ""
        )
    return f"{value(p.low)} to {value(p.high)}" + (f", step {value(p.step)}" if p.step is not None else "")


def _scale(p: Parameter) -> str:
    if isinstance(p, Choice):
        return "ordered" if p.ordered else "unordered"
    return "logarithmic" if p.log else "linear"


def _default(p: Parameter) -> str:
    return "–" if p.default is UNSET else value(p.default)


def _when(p: Parameter) -> str:
    return " and ".join(f"{parent} is {' or '.join(map(value, vs))}" for parent, vs in p.when.items()) or "always"


def protocol(facts: Facts, events: Sequence[Event]) -> Pairs:
    """Label and text: by what means was searched, how long, and what that took."""
    spec, study = facts.spec, facts.study
    return [
        ("Strategy", strategy(spec)),
        *learnt(spec),
        ("Proposed by", proposers(facts)[0] or "nothing yet"),
        *methods(facts),
        ("Seed", str(spec.seed)),
        ("Budget", budget_text(spec.budget)),
        *training(spec),
        ("Finished", f"{plural(sum(t.counts for t in facts.trials), 'search trial')} (done, stopped or failed)"),
        ("Spent by the search", _cost(study.spent)),
        ("Workers", _workers(events)),
        ("Each setting is run", repetitions(spec)),
        ("Looks at the hold-out", str(sum(e.look for e in events))),
        ("Study created", moment(study.created)),
        ("First and last result", _period(facts.trials)),
    ]


def strategy(spec: StudySpec) -> str:
    """The strategy's name, with its settings."""
    return spec.strategy + (f" with {setting(spec.settings)}" if spec.settings else "")


def proposers(facts: Facts) -> tuple[str, dict[str, int]]:
    """Which strategies proposed how many trials, in words and by "name (version n)"."""
    used = Counter(f"{t.strategy} (version {t.version}){_by(t)}" for t in facts.searched if t.strategy)
    return ", ".join(f"{name}: {plural(n, 'trial')}" for name, n in used.items()), dict(used)


def _by(t: Trial) -> str:
    """ " by gp" if that is what auto chose."""
    return f" by {_chosen(t)}" if "auto" in t.why else ""


def _chosen(t: Trial) -> str:
    """The strategy that made the proposal."""
    return str(t.why.get("auto", t.strategy)).partition(":")[0]


def methods(facts: Facts) -> Pairs:
    """What the names of the strategies that proposed trials stand for."""
    used = dict.fromkeys(_chosen(t) for t in facts.searched)
    return [(name, METHODS[name]) for name in used if name in METHODS]


METHODS = {
    "cma": "CMA-ES (covariance matrix adaptation), with margin and restarts",
    "evolution": "regularised evolution (Real et al. 2019)",
    "forest": "Bayesian optimisation with a forest of random trees, as in SMAC",
    "gp": "Bayesian optimisation with a Gaussian process",
    "grid": "every point of a finite space, in a fixed order",
    "nsga2": "NSGA-II (Deb et al. 2002)",
    "nsga3": "NSGA-III (Deb and Jain 2014)",
    "pb2": "population-based bandits (Parker-Holder et al. 2020)",
    "pbt": "population-based training (Jaderberg et al. 2017)",
    "priorband": "PriorBand (Mallik et al. 2023)",
    "random": "random search",
    "sobol": "a scrambled Sobol sequence",
    "tpe": "tree-structured Parzen estimator (Bergstra et al. 2011)",
    "user": "settings that somebody asked for",
}
"""Strategy -> its method, in words."""


def repetitions(spec: StudySpec) -> str:
    """How often the search runs each setting."""
    often = "once" if spec.replicates == 1 else f"up to {spec.replicates} times"
    return often + ("; the objective is declared deterministic" if spec.deterministic else "")


def learnt(spec: StudySpec) -> Pairs:
    """The earlier studies whose results the search began with."""
    return [("Learnt from", f"study {s.study} ({s.uid[:12]}): {plural(len(s.params), 'result')}") for s in spec.sources]


def training(spec: StudySpec) -> Pairs:
    """How far a trial is trained, and what stops one early."""
    said, f = [], spec.fidelity
    if f is not None:
        rungs = ", ".join(f"{r:g}" for r in f.rungs)
        said.append(("Full training", f"{f.name} = {f.high:g}; trials are compared at {rungs}"))
    rules = [{k: v for k, v in r.items() if v is not None} for r in spec.stopping]
    texts = [f"{r.pop('rule')} ({setting(r)})" if len(r) > 1 else str(r["rule"]) for r in rules]
    return [*said, ("Stopping rule", ", ".join(texts) or "none: no trial is stopped early")]


def _workers(events: Sequence[Event]) -> str:
    """How many workers the calls of run and evidence had."""
    had = Counter(e.body["workers"] for e in events if e.kind == "run" and e.body["workers"])
    calls = (f"{plural(w, 'worker')} in {'each of ' if n > 1 else ''}{plural(n, 'call')}" for w, n in had.items())
    return ", ".join(calls) or "asked and told by hand"


def budget_text(b: Budget) -> str:
    """The limits of a budget, in words."""
    said = [] if b.trials is None else [plural(b.trials, "trial")]
    said += [duration(b.time)] if isinstance(b.time, float) else []
    said += [f"{number(v)} {unit}" for name, unit in UNITS.items() if (v := getattr(b, name)) is not None]
    return ", ".join(said) or "no limit"


def _cost(c: Cost) -> str:
    said = [f"{duration(c.wall)} of trial time", f"{duration(c.cpu)} CPU"]
    said += [f"{duration(c.gpu)} GPU"] if c.gpu else []
    said += [f"peak memory {size(c.memory)}"] if c.memory else []
    said += [f"{number(c.energy)} kWh"] if c.energy else []
    return ", ".join(said + ([f"cost {number(c.money)}"] if c.money else []))


def _period(trials: Sequence[Trial]) -> str:
    ends = [t.ended for t in trials if t.ended is not None]
    return f"{moment(min(ends))} to {moment(max(ends))}" if ends else "none"
