"""A warning if stopping rules cannot do what they are for: nothing is reported, the objective does not ask whether to stop, or
a limit that trials break is not reported."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from .. import engine
from ..engine.incumbents import baseline_metrics
from ..engine.ledger import Ledger
from ..formatting import plural
from ..live import LiveStudy
from ..records import Purpose, Report, State, StudySpec
from ..stopping import PAUSING
from ..stopping.rules import verdicts

_SOME = 3  # trials that must be done before anything is said
_MOST = 300  # in larger studies, reports are not judged again
_FIRST = {"asha": 0, "hyperband": 0, "forgiving": -1, "wilcoxon": -1}
"""By rule: the index of the first rung at which it can stop a trial."""

Rules = Sequence[Mapping[str, Any]]


def idle_rules_notice(live: LiveStudy) -> str | None:
    """A warning if stopping rules have stopped nothing because they cannot, or do not know of a limit; else None."""
    ledger = live.refresh()
    spec, stopped = ledger.study.spec, ledger.counts[State.STOPPED]
    rules = [rule for rule in spec.stopping if rule["rule"] not in PAUSING]
    if not rules or ledger.counts[State.DONE] < _SOME:
        return None
    last_reports = _last_reports(live, ledger)
    # If trials were stopped, the goals are reported.
    suspected = [rule for rule in rules if "metric" in rule or not stopped]
    found = _unreported(spec, suspected, last_reports)
    if found is None and not stopped:
        found = _too_early(spec, rules, last_reports) or _unheeded(live, ledger, rules)
    return found or _unlimited(ledger, [rule for rule in rules if "metric" not in rule], last_reports)


def _last_reports(live: LiveStudy, ledger: Ledger) -> list[Report]:
    """The reports of the last trials that were not stopped."""
    done = (t.number for t in reversed(ledger.told) if t.purpose is Purpose.SEARCH and t.state is State.DONE)
    return [report for number in islice(done, _SOME) for report in live.storage.reports(live.id, number)]


def _unreported(spec: StudySpec, rules: Rules, last_reports: Sequence[Report]) -> str | None:
    """A warning if trials do not report what rules judge."""
    goals = [goal.metric for goal in spec.goals]
    judged = [[rule["metric"]] if "metric" in rule else goals for rule in rules]
    reported = {metric for report in last_reports for metric in report.metrics}
    idle = [(rule, metrics) for rule, metrics in zip(rules, judged, strict=True) if reported.isdisjoint(metrics)]
    if not idle:
        return None
    what = f"only {', '.join(sorted(reported))}" if last_reports else "nothing"
    names, (_, wanted) = _names([rule for rule, _ in idle]), idle[0]
    return f"{names} can stop nobody: trials report {what}; call trial.report(step, {wanted[0]}=...)"


def _unlimited(ledger: Ledger, rules: Rules, last_reports: Sequence[Report]) -> str | None:
    """A warning if rules prefer trials that break a limit, because what it limits is not reported."""
    spec, baseline = ledger.study.spec, baseline_metrics(ledger.study.spec, ledger.baseline)
    reported = {metric for report in last_reports for metric in report.metrics}
    done = [t for t in ledger.told if t.purpose is Purpose.SEARCH and t.state is State.DONE]
    unknown = (c for c in spec.constraints if c.metric not in reported)
    broken = next((c for c in unknown if any(c.excess(t.metrics, baseline) > 0 for t in done)), None)
    if broken is None or not rules:
        return None
    call = f"trial.report(step, {spec.goals[0].metric}=..., {broken.metric}=...)"
    return (
        f"{_names(rules)} may stop the trials that keep {broken.text!r}: {broken.metric} is not reported; call {call}"
    )


def _too_early(spec: StudySpec, rules: Rules, last_reports: Sequence[Report]) -> str | None:
    """A warning if no trial's reports reach the first rung at which one of the rules can stop it."""
    if spec.fidelity is None or not all(rule["rule"] in _FIRST for rule in rules):
        return None
    first = min(spec.fidelity.rungs[_FIRST[rule["rule"]]] for rule in rules)
    last, unit = max(report.step for report in last_reports), spec.fidelity.name
    if last >= first:
        return None
    reach = f"up to step {last:g}, and {unit}={first:g} is needed"
    return f"{_names(rules)} can stop nobody: trials report {reach}; report in {unit}, counted from 1"


def _unheeded(live: LiveStudy, ledger: Ledger, rules: Rules) -> str | None:
    """A warning if trials were told to stop, and all of them continued."""
    if ledger.study.count > _MOST:
        return None
    search = {t.number for t in ledger.told if t.purpose is Purpose.SEARCH}
    reports = [r for r in live.storage.reports(live.id) if r.number in search]
    fresh = engine.stopping_rules(ledger.study.spec, ledger.trials[0])
    told = verdicts(fresh, [(r.number, r.step, r.metrics, r.written) for r in reports])
    went_on = sum(t.state is State.DONE and t.number in told for t in ledger.told)
    if not went_on:
        return None
    names = _names(rules)
    return f"{names} told {plural(went_on, 'trial')} to stop, and none did: return when trial.should_stop() says so"


def _names(rules: Rules) -> str:
    return " and ".join(rule["rule"] for rule in rules)
