"""The progress line: what it says, how often, and where."""

import io
from dataclasses import replace

import pytest

from trimtab.engine.incumbents import candidates
from trimtab.engine.ledger import Ledger
from trimtab.engine.planning import Terms
from trimtab.goals import Goal, constraint
from trimtab.records import (
    Budget,
    Changes,
    Cost,
    Purpose,
    Reason,
    State,
    StudyRecord,
    StudySpec,
    StudyState,
    Trial,
)  # fmt: skip
from trimtab.running import progress
from trimtab.running.progress import EVERY, Progress, line
from trimtab.space import Float, Space

SPACE = Space(x=Float(0, 1, default=0.5))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def ledger(results, *, running=0, certify=(), select=(), budget=None, constraints=()):
    """A ledger of search trials with these losses (None: failed), one second each, then running and certify ones."""
    spec = StudySpec("s", SPACE, (Goal("loss", False),), constraints, budget or Budget(trials=10))
    rows = []

    def add(state, metrics, purpose=Purpose.SEARCH):
        n = len(rows)
        ended = None if state is State.RUNNING else n + 1.0
        reason = Reason.ERROR if state is State.FAILED else None
        rows.append(
            Trial(
                1,
                n,
                state,
                purpose,
                {"x": n / 100},
                n,
                started=float(n),
                ended=ended,
                metrics=metrics,
                reason=reason,
                told=n + 1,
            )
        )

    for value in results:
        add(State.FAILED if value is None else State.DONE, {} if value is None else {"loss": value, "size": 2.0})
    for state in [State.RUNNING] * running:
        add(state, {})
    for state in select:
        add(state, {"loss": 0.5} if state is State.DONE else {}, Purpose.SELECT)
    for state in certify:
        add(state, {}, Purpose.CERTIFY)
    study = StudyRecord(1, "uid", "s", spec, StudyState.OPEN, 0.0, len(rows), len(rows), Cost(cpu=1800.0), 9, "head")
    made = Ledger(study)
    made.absorb(Changes(study, rows, float(len(rows))))
    return made


def lines(*updates, **more):
    """What is written for (ledger, now) updates on a stream that is no terminal."""
    stream = io.StringIO()
    with Progress(updates[0][0].study.spec, stream, **more) as shown:
        for live, now in updates:
            shown.update(live, now)
    return stream.getvalue().splitlines()


def test_the_line_says_counts_best_and_budget():
    (said,) = lines((ledger([0.5, None, 0.25], running=2), 100.0))
    assert said == "s: 2 done, 2 running, 1 failed · best loss 0.25 (trial 2) · 7 of 10 trials left"


def test_feasibility_is_told_where_there_are_constraints():
    loose, tight = [constraint("size <= 3")], [constraint("size <= 1")]
    assert "best loss 0.5 (trial 0, feasible)" in lines((ledger([0.5], constraints=tuple(loose)), 0.0))[0]
    assert "no feasible result yet" in lines((ledger([0.5], constraints=tuple(tight)), 0.0))[0]
    unknown = (constraint("size <= 2 * baseline"),)
    assert "feasibility unknown" in lines((ledger([0.5], constraints=unknown), 0.0))[0]


def test_an_empty_study_has_no_result():
    assert lines((ledger([]), 0.0)) == ["s: 0 done, 0 running, 0 failed · no result yet · 10 of 10 trials left"]


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        (Budget(cpu_hours=2), "1.5 of 2 CPU hours left"),
        (Budget(cost=3), "3 of 3 of cost left"),
        (Budget(trials=1), "0 of 1 trial left"),
    ],
)
def test_other_budgets_are_told(budget, left):
    assert line(ledger([0.5], budget=budget), None, None).endswith(left)


def test_the_time_left_follows_the_pace_since_the_first_update():
    said = lines((ledger([]), 1000.0), (ledger([0.5, 0.4]), 1060.0), terms=Terms())
    assert said[-1].endswith("about 4 min to go")


@pytest.mark.parametrize(
    ("budget", "terms", "left"),
    [
        (Budget(time=92.0), Terms(), "1 min 30 s"),
        (Budget(), Terms(until=1150.0), "1 min 30 s"),
        (Budget(), Terms(trials=4), "1 min"),
        (Budget(trials=10), Terms(trials=4), "1 min"),
        (Budget(trials=10), Terms(until=1065.0), "5 s"),
        (Budget(cpu_hours=1.0), Terms(), "1 min"),  # half of it is used, by two trials in a minute
        (Budget(cpu_hours=1.0, trials=3), Terms(), "30 s"),
    ],
)
def test_what_ends_the_search_first_bounds_the_time_left(budget, terms, left):
    before, after = ledger([], budget=budget), ledger([0.5, 0.4], budget=budget)
    assert lines((before, 1000.0), (after, 1060.0), terms=terms)[-1].endswith(f"about {left} to go")


@pytest.mark.parametrize("terms", [Terms(until=1e9), Terms(until=1e9, trials=2)])
def test_no_time_left_is_told_of_a_search_that_has_all_its_trials(terms):
    budget = Budget(trials=2, time=92.0) if terms.trials is None else Budget(time=92.0)
    assert "to go" not in lines((ledger([0.5, 0.4], budget=budget), 2.0), terms=terms)[-1]


def test_no_time_left_is_told_where_no_search_runs():
    assert "to go" not in lines((ledger([0.5, 0.4], certify=[State.RUNNING], budget=Budget(time=92.0)), 2.0))[-1]


def test_plain_lines_come_with_improvements_and_else_only_now_and_then():
    one, worse, better = ledger([0.5]), ledger([0.5, 0.9]), ledger([0.5, 0.9, 0.1])
    said = lines((one, 0.0), (worse, 1.0), (better, 2.0), (better, 3.0), (better, 2.0 + EVERY))
    assert len(said) == 3
    assert "trial 2" in said[1]


@pytest.mark.parametrize("limit", ["size <= 3", "size <= 1"])
def test_each_result_is_looked_at_once(monkeypatch, limit):
    """However many there are, and whether one is feasible or none."""
    looked = []
    monkeypatch.setattr(
        progress, "candidates", lambda spec, told, base: looked.append(len(told)) or candidates(spec, told, base)
    )
    states = [ledger([0.5 / n for n in range(1, k)], constraints=(constraint(limit),)) for k in range(2, 30)]
    said = lines(*((state, float(n)) for n, state in enumerate(states)))
    assert sum(looked) == 28
    assert ("no feasible result" if "1" in limit else "(trial 27, feasible)") in said[-1]


def test_a_leader_is_judged_again_when_the_baseline_ends():
    limit = (constraint("size <= 0.5 * baseline"),)
    unknown, known = ledger([], constraints=limit), ledger([0.5, 0.4], constraints=limit)
    spec = replace(known.study.spec, baseline={"x": 0.0})
    first, second = known.trials[0], known.trials[1]
    unknown.absorb(Changes(replace(known.study, spec=spec), [replace(second, told=1)], 1.0))
    known.absorb(Changes(replace(known.study, spec=spec), [replace(first, strategy="baseline")], 2.0))
    said = lines((unknown, 0.0), (known, EVERY))
    assert "(trial 1, feasibility unknown)" in said[0]
    assert "no feasible result yet" in said[1]


def test_the_last_state_is_always_written_once():
    said = lines((ledger([0.5]), 0.0), (ledger([0.5, 0.9]), 1.0))
    assert len(said) == 2
    assert "2 done" in said[-1]


def test_evidence_is_told_while_it_runs():
    busy = ledger([0.5], certify=[State.DONE, State.DONE, State.RUNNING, State.QUEUED])
    assert "evidence: 2 of 4 runs" in lines((busy, 0.0))[0]
    assert "evidence" not in lines((ledger([0.5], certify=[State.DONE]), 0.0))[0]
    racing = ledger([0.5], select=[State.DONE, State.DONE, State.RUNNING])
    assert "evidence: finalists measured again, 2 runs" in lines((racing, 0.0))[0]


def test_quiet_writes_nothing():
    for stream in (io.StringIO(), Terminal()):
        with Progress(ledger([]).study.spec, stream, quiet=True) as progress:
            progress.update(ledger([0.5]), 0.0)
        assert stream.getvalue() == ""


def test_a_terminal_gets_one_line_that_is_rewritten(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    with Progress(ledger([]).study.spec, stream) as progress:
        for n in range(5):
            progress.update(ledger([0.5] * n), float(n))
    written = stream.getvalue()
    assert written.count("\n") == 1  # only when it is left
    assert "4 done" in written
    assert "\x1b[2K" in written  # the line is erased before it is written again


def test_nothing_is_to_go_once_a_run_has_ended():
    """Such as by an error, in the middle of it."""
    rounds = [(ledger([0.5] * n), 1.0 * n) for n in range(1, 4)]
    first, last = lines(*rounds, terms=Terms(trials=9))
    assert first.startswith("s: 1 done")
    assert last == "s: 3 done, 0 running, 0 failed · best loss 0.5 (trial 0) · 7 of 10 trials left"


def test_standard_error_is_the_default(capsys):
    with Progress(ledger([]).study.spec) as progress:
        progress.update(ledger([0.5]), 0.0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 done" in captured.err
