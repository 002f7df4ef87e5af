"""What keeps a study's stopping rules from stopping anybody: nothing is reported, or nobody asks whether to stop. And what
keeps trials from going on from one another: nothing is saved."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from .. import engine
from ..book import Book
from ..records import Purpose, State
from ..stopping import PAUSING
from ..stopping.jury import rehear
from ..words import plural

_SOME = 3  # trials that ended before anything is said
_MOST = 300  # trials whose reports are judged again
_FIRST = {"asha": 0, "hyperband": 0, "forgiving": -1, "wilcoxon": -1}  # the rung that somebody reaches before one stops


def _wanted(rule: Mapping[str, Any], goals: Sequence[str]) -> Sequence[str]:
    """The metrics that a rule judges."""
    return [rule["metric"]] if "metric" in rule else goals


def _names(rules: Sequence[Mapping[str, Any]]) -> str:
    return " and ".join(rule["rule"] for rule in rules)


def unheard(book: Book) -> list[str]:
    """In words, where rules that stop have stopped nobody though trials have ended; else nothing."""
    ledger = book.refresh()
    spec = ledger.study.spec
    rules = [rule for rule in spec.stopping if rule["rule"] not in PAUSING]
    if not rules or not ledger.counts[State.DONE] >= _SOME:
        return []
    done = (t.number for t in reversed(ledger.told) if t.purpose is Purpose.SEARCH and t.state is State.DONE)
    said = [r for number in islice(done, _SOME) for r in book.storage.reports(book.study, number)]
    last = [set(r.metrics) for r in said]
    goals, stopped = [g.metric for g in spec.goals], ledger.counts[State.STOPPED]
    deaf = [
        rule
        for rule in rules
        if ("metric" in rule or not stopped) and not any(r.intersection(_wanted(rule, goals)) for r in last)
    ]
    if deaf:
        what = f"only {', '.join(sorted(set().union(*last)))}" if last else "nothing"
        call = f"trial.report(step, {_wanted(deaf[0], goals)[0]}=...)"
        return [f"{_names(deaf)} can stop nobody: trials report {what}; call {call}"]
    if stopped:
        return []
    names = _names(rules)
    if (f := spec.fidelity) is not None and all(rule["rule"] in _FIRST for rule in rules):
        top, first = max(r.step for r in said), min(f.rungs[_FIRST[rule["rule"]]] for rule in rules)
        if top < first:
            reach = f"up to step {top:g}, and {f.name}={first:g} is needed"
            return [f"{names} can stop nobody: trials report {reach}; report in {f.name}, counted from 1"]
    if ledger.study.count > _MOST:
        return []
    heard = [(r.number, r.step, r.metrics, r.written) for r in book.storage.reports(book.study)]
    search = {t.number for t in ledger.told if t.purpose is Purpose.SEARCH}
    told = rehear(engine.jury(spec, ledger.trials[0]), [h for h in heard if h[0] in search])
    went_on = [t.number for t in ledger.told if t.state is State.DONE and t.number in told]
    if not went_on:
        return []
    return [
        f"{names} told {plural(len(went_on), 'trial')} to stop, and none did: return when trial.should_stop() says so"
    ]


def unsaved(book: Book) -> list[str]:
    """In words, where trials that go on from others find nothing, for the checkpoints that are here are all empty."""
    told = book.refresh().told
    if not any(t.parent is not None for t in told[-_SOME:]):
        return []
    held = [path for path in book.checkpoints.held() if not path.name.startswith(".")]
    if not held or not all(map(_empty, held)):
        return []
    return [
        "trials go on from one another, and none has saved anything in trial.checkpoint (TRIMTAB_CHECKPOINT of a command): "
        "each of them is trained from nothing"
    ]


def _empty(folder: Path) -> bool:
    """Whether there is nothing in it; one that has just been collected may have had something."""
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return False
