"""How the command line shows the record: trials as JSON and CSV, tables, and the summary of a run. Text in, text out.

On a terminal, tables are drawn with rich; elsewhere they are aligned columns in which nothing is cut off.
"""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .. import formatting, streams
from ..errors import SpecError
from ..proof.holdout import looks
from ..records import COUNTED, State, StudySpec, Trial
from ..records.usage import UNITS
from ..reports.tables import columns, rows

if TYPE_CHECKING:
    from ..evidence import Evidence
    from ..evidence.certificate import Comparison
    from ..study import Study

Row = Sequence[str]


def document(value: Any) -> str:
    """One JSON document."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


class Answer(Protocol):
    """What a question to a study found."""

    def text(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


def answer(name: str, found: Answer, as_json: bool) -> str:
    """The answer to a question to the study called `name`, as lines or as one JSON document."""
    return document({"study": name, **found.to_json()}) if as_json else found.text()


def trial_json(t: Trial) -> dict[str, Any]:
    """A trial as the command line prints it."""
    return {
        "number": t.number,
        "state": str(t.state),
        "purpose": str(t.purpose),
        "params": dict(t.params),
        "metrics": dict(t.metrics),
        "seed": t.seed,
        "reason": None if t.reason is None else str(t.reason),
        "error": t.error,
        "strategy": t.strategy,
        "version": t.version,
        "parent": t.parent,
        "replicate": t.replicate,
        "fidelity": t.fidelity,
        "reached": t.reached,
        "attempt": t.attempt,
        "started": t.started,
        "ended": t.ended,
        "cost": t.cost.to_json(),
        "notes": list(t.notes),
    }


def trials_csv(trials: Sequence[Trial]) -> str:
    """One line per trial, with columns `params.*` and `metrics.*`; empty if there is no value."""
    out = io.StringIO()
    write = csv.DictWriter(out, columns(trials), lineterminator="\n")
    write.writeheader()
    write.writerows(rows(trials))
    return out.getvalue()


# -------------------------------------------------------------------------------------------------------------- tables


def table(head: Row, rows: Sequence[Row], right: Sequence[str] = ()) -> str:
    """A table with the columns named in `right` aligned to the right."""
    drawn = _drawn if streams.is_terminal(sys.stdout) else formatting.table
    return drawn(head, rows, right)


def _drawn(head: Row, rows: Sequence[Row], right: Sequence[str]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD)
    for name in head:
        drawn.add_column(Text(name), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=Console().width).print(drawn)
    return out.getvalue().strip("\n")


def facts(pairs: Mapping[str, str]) -> str:
    """Names and values, one per line, aligned."""
    width = max(len(k) for k in pairs)
    return "\n".join(f"{k.ljust(width)}  {v}".rstrip() for k, v in pairs.items())


def trials_table(study: "Study", trials: Sequence[Trial]) -> str:
    """Number, state, purpose, metrics, feasibility, time and setting of each trial."""
    spec, best = study.spec, best_of(study)  # read once: each access asks the store
    metrics = spec.metrics
    rows, failed = [], any(t.error for t in trials)
    for t in trials:
        mark = "*" if best is not None and t.number == best.number else ""
        values = [formatting.number(t.metrics[m]) if m in t.metrics else "" for m in metrics]
        wall = formatting.duration(t.cost.wall) if t.started and t.ended else ""
        why = [" ".join(t.error.splitlines()[:1])] if failed else []
        rows.append([f"{t.number}{mark}", t.state_text, str(t.purpose), *values, wall, setting(spec, t), *why])
    head = ["trial", "state", "purpose", *metrics, "time", "params", *(["error"] if failed else [])]
    return table(head, rows, right=["trial", *metrics, "time"])


def trial_text(study: "Study", t: Trial) -> str:
    """A trial in full: its setting and result, who proposed it, what it cost, and what it printed."""
    wall, cpu = formatting.duration(t.cost.wall), formatting.duration(t.cost.cpu)
    spent = f"{wall}, {cpu} of CPU time, {formatting.size(t.cost.memory)}"
    head = {
        "trial": f"{t.number} of study {study.name}",
        "state": t.state_text,
        "attempt": str(t.attempt),
        "purpose": str(t.purpose),
        "params": ", ".join(f"{k}={exact(v)}" for k, v in params(study.spec, t).items()),
        "seed": str(t.seed),
        "metrics": ", ".join(f"{name}={value}" for name, value in t.metrics.items()) or "–",
        "proposed": f"by {t.strategy} (version {t.version})" + ("" if t.parent is None else f", from trial {t.parent}"),
    }
    if t.fidelity is not None and t.reached is not None:
        unit = study.spec.fidelity.name if study.spec.fidelity else "fidelity"
        head["trained"] = f"to {unit} {formatting.number(t.reached)} of {formatting.number(t.fidelity)}"
    if t.verdict:
        head["stopped"] = str(t.verdict["why"])
    if t.ended is not None:
        head |= {"ended": formatting.moment(t.ended), **({"spent": spent} if t.started else {})}
    head |= {"note" if n == 0 else f"note {n + 1}": note for n, note in enumerate(t.notes)}
    texts = {"Error": t.error, "Output": t.output}
    parts = [f"{title}:\n{text.rstrip()}" for title, text in texts.items() if text.strip()]
    return "\n\n".join([facts(head), *parts])


# ------------------------------------------------------------------------------------------------------------- answers


def best_of(study: "Study") -> Trial | None:
    """The best trial, or None while there is none."""
    try:
        return study.best
    except SpecError:
        return None


def expected_json(study: "Study") -> dict[str, Any] | None:
    """What all results together say of the best trial's first goal; None if they are too few, or have no noise."""
    found = study.standings
    if found.belief is None or not found.order:
        return None
    first = found.order[0]
    return {"metric": found.metric, "mean": first.mean, "sd": first.sd, "p_best": first.p_best}


def counted(counts: Mapping[str, int], trials: int | None) -> str:
    """ "40 of 40 trials: 38 done, 2 failed" """
    total = sum(counts[s] for s in COUNTED)
    order = sorted(counts, key=lambda state: state == State.QUEUED)  # the queued last
    parts = [f"{counts[state]} {state}" for state in order if counts[state]]
    if not parts:
        return "no trials yet" if trials is None else f"no trials yet, {trials:,} allowed"
    said = formatting.plural(total, "trial") if trials is None else f"{total:,} of {formatting.plural(trials, 'trial')}"
    return f"{said}: {', '.join(parts)}"


def measured(study: "Study", t: Trial) -> str:
    """ "auc 0.781, size_kib 96 (trial 12)" """
    values = ", ".join(f"{m} {formatting.number(t.metrics[m])}" for m in study.spec.metrics if m in t.metrics)
    return f"{values or f'{t.state}, nothing measured'} (trial {t.number})"


def setting(spec: StudySpec, t: Trial) -> str:
    """A trial's params in one line."""
    return formatting.setting(params(spec, t))


def params(spec: StudySpec, t: Trial) -> dict[str, Any]:
    """A trial's params in the order of the space."""
    names = dict.fromkeys([*spec.space.names, *t.params])
    return {k: t.params[k] for k in names if k in t.params}


def exact(v: Any) -> str:
    """A value of a setting, with all its digits."""
    return "none" if v is None else str(v)


def answers(study: "Study") -> dict[str, str]:
    """Counts, baseline, best, what evidence there is, and what a reader should know."""
    spec, baseline, best, found = study.spec, study.baseline, best_of(study), study.result()
    lines = {"trials": counted(study.counts, spec.budget.trials)}
    if (why := study.bound) is not None and not why.startswith("the budget of trials"):
        lines["ended"] = why
    if baseline is not None:
        met = "" if study.feasible(baseline) is not False else "; does not meet the constraints"
        lines["baseline"] = measured(study, baseline) + met
    if best is None:
        lines["best"] = "none yet" + (" meets the constraints" if spec.constraints else "")
    else:
        lines |= _of_the_best(study, best)
    if found is not None:
        lines["evidence"] = "; ".join([f"{found.decision}: {_difference(found)}", *map(_compared, found.goals)])
    if seen := len(looks(study.storage, study.record.id)):
        lines["hold-out"] = f"looked at {formatting.plural(seen, 'time')}"
    if notices := study.notices:
        lines["note"] = "; ".join(notices)
    return lines


def _of_the_best(study: "Study", best: Trial) -> dict[str, str]:
    """The best: its metrics, how much better it is than the baseline, whether it meets the constraints, its setting."""
    spec, baseline = study.spec, study.baseline
    lines = {"best": measured(study, best)}
    if (expected := expected_json(study)) is not None:
        found = study.standings
        how = f"named by its own result: noise is {formatting.percent(found.share)} of the variance"
        if found.doubted:
            how = f"the best of those tried with probability {formatting.percent(expected['p_best'])}"
        lines["expected"] = f"{expected['metric']} {found.order[0].expected} by all results; {how}"
    if baseline is not None and baseline.metrics and baseline.number != best.number:
        gains = [(g.metric, g.loss(baseline.metrics) - g.loss(best.metrics)) for g in spec.goals]
        said = ", ".join(f"{metric} {formatting.signed(gain)}" for metric, gain in gains)
        lines["difference"] = f"{said} as the search saw it (positive is better)"
    if spec.constraints:
        met = study.feasible(best)
        feasible = {True: "yes", False: "no", None: "unknown"}[met]
        judged = [c.text for c in spec.constraints if met is not None or c.relative]  # only the baseline may be unknown
        lines["feasible"] = f"{feasible}: {', '.join(judged)}"
    if len(spec.goals) > 1:
        lines["pareto"] = f"trials {', '.join(str(t.number) for t in study.pareto)}"
    return {**lines, "params": setting(spec, best)}


def study_json(study: "Study") -> dict[str, Any]:
    """A study as the command line prints it."""
    record, best, found = study.record, best_of(study), study.result()
    return {
        "study": record.name,
        "uid": record.uid,
        "state": str(record.state),
        "created": record.created,
        "storage": study.storage.url,
        "spec": record.spec.to_json(),
        "counts": study.counts,
        "spent": record.spent.to_json(),
        "baseline": None if study.baseline is None else trial_json(study.baseline),
        "best": None if best is None else trial_json(best),
        "expected": expected_json(study),
        "evidence": None if found is None else found.to_json(),
        "holdout_looks": len(looks(study.storage, record.id)),
        "head": record.head,
    }


def study_text(study: "Study") -> str:
    """A study on one screen: the question, what was spent, what was found, and the space."""
    record, spec = study.record, study.spec
    budget = [f"{_amount(k, used)} of {_amount(k, limit)} {_UNITS[k]}" for k, (used, limit) in study.spent.items()]
    head = {
        "study": f"{record.name} ({record.state})",
        "uid": record.uid,
        "created": formatting.moment(record.created),
        "goal": ", ".join(g.text for g in spec.goals),
        "subject to": ", ".join(c.text for c in spec.constraints) or "nothing",
        "budget": ", ".join(budget) or "no limit",
        "spent": f"{formatting.duration(record.spent.wall)} in trials, {formatting.duration(record.spent.cpu)} of CPU time",
        "strategy": f"{spec.strategy}, seed {spec.seed}",
        **answers(study),
        "record": f"{formatting.plural(record.position, 'event')}, head {record.head[:16]}",
    }
    rows = [[name, repr(p)] for name, p in spec.space.params.items()]
    rows += [["require", text] for text in spec.space.requirements]
    return f"{facts(head)}\n\n{table(['parameter', 'domain'], rows)}"


_UNITS = {"trials": "trials", "time": "in which trials ran", **UNITS}


def _amount(limit: str, value: float) -> str:
    return formatting.duration(value) if limit == "time" else formatting.number(value, 3)


def _compared(goal: "Comparison") -> str:
    difference, low, high = formatting.estimate(goal.difference, goal.interval)
    return f"{goal.metric} {goal.decision} ({difference}, {low} to {high})"


def _difference(found: "Evidence") -> str:
    difference, low, high = formatting.estimate(found.difference, found.interval)
    return f"{found.metric} {difference}, 95 % interval {low} to {high}, {formatting.plural(len(found.pairs), 'pair')}"
