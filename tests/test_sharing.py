"""Very short trials of strategies that do not learn share transactions: nothing else of a study may change by that."""

import sqlite3
from contextlib import closing
from itertools import count
from types import SimpleNamespace

import pytest

import trimtab as tt
from trimtab import engine
from trimtab.executors import inline
from trimtab.running import crew, runner

SPACE = {"x": tt.Float(0, 1), "k": tt.Int(0, 30), "c": tt.Choice("a", "b")}


def study(url, strategy="random", space=None, **how):
    return tt.Study("s", space or SPACE, minimize="loss", storage=url, seed=3, strategy=strategy, **how)


def objective(trial):
    trial.report(1, loss=0.5)
    trial.note("seen")
    return trial.params["k"]


def commits(s, monkeypatch):
    """How often `settle` is called for how many ends."""
    said, settle = [], s.storage.settle

    def heard(study, endings, since, then):
        said.append(len(endings))
        return settle(study, endings, since, then)

    monkeypatch.setattr(s.storage, "settle", heard)
    return said


@pytest.fixture
def brisk(monkeypatch):
    """Trials and proposals count as short, however busy the machine is."""
    monkeypatch.setattr(inline, "time", SimpleNamespace(perf_counter=count(0.0, 1e-3).__next__))
    monkeypatch.setattr(crew, "HELD", 60.0)
    monkeypatch.setattr(runner, "BRIEF", 60.0)


@pytest.mark.usefixtures("brisk")
@pytest.mark.parametrize("strategy", ["random", "sobol"])
def test_short_trials_share_transactions_and_are_what_they_would_have_been_alone(database_url, strategy, monkeypatch):
    s = study(database_url, strategy)
    said = commits(s, monkeypatch)
    s.run(objective, trials=100, quiet=True)
    assert (sum(said), len(said) < 50) == (100, True)
    assert [t.number for t in s.trials] == [*range(100)]
    assert {(str(t.state), t.attempt, t.batch, t.at == t.number) for t in s.trials} == {("done", 1, 1, True)}
    assert [t.notes for t in s.trials] == [("seen",)] * 100
    alone = study(None, strategy)
    alone.run(objective, trials=100, quiet=True, supervised=True)
    assert [t.params for t in s.trials] == [t.params for t in alone.trials]
    assert s.verify() == []
    assert s.replay().holds


@pytest.mark.parametrize(
    "how", [{"strategy": "tpe"}, {"stopping": "median"}, {"budget": {"trials": 30, "cpu_hours": 1.0}}], ids=str
)
def test_where_one_result_decides_about_the_next_each_has_its_transaction(tmp_path, how, monkeypatch):
    s = study(f"sqlite:///{tmp_path}/t.db", **how)
    said = commits(s, monkeypatch)
    s.run(objective, trials=20, quiet=True)
    assert max(said) == 1
    assert s.counts["done"] == 20


def test_failures_in_a_row_end_the_run_on_the_spot(database_url):
    def fails(trial):
        if trial.number >= 40:
            raise RuntimeError("no")
        return 0.5

    s = study(database_url, max_failures=5)
    with pytest.raises(tt.errors.RunFailed, match="5 trials failed in a row"):
        s.run(fails, trials=100, quiet=True)
    assert (s.counts["done"], s.counts["failed"], s.counts["running"]) == (40, 5, 0)
    assert s.verify() == []


def test_ctrl_c_among_short_trials_loses_nothing_that_was_returned(database_url):
    def interrupts(trial):
        if trial.number == 60 and trial.attempt == 1:
            raise KeyboardInterrupt
        return 0.5

    s = study(database_url)
    with pytest.raises(KeyboardInterrupt):
        s.run(interrupts, trials=100, quiet=True)
    assert (s.counts["done"], s.counts["running"]) == (60, 0)
    s.run(interrupts, trials=100, quiet=True)
    assert (s.counts["done"], len(s.trials)) == (100, 100)
    assert s.verify() == []
    assert s.replay().holds


def test_what_waits_is_claimed_in_the_same_transaction(tmp_path, monkeypatch):
    s = study(f"sqlite:///{tmp_path}/t.db")
    s.run(objective, trials=1, quiet=True)
    for k in range(10):
        s.enqueue({"x": 0.5, "k": k, "c": "a"})
    s.run(objective, trials=40, quiet=True)
    assert [t.params["k"] for t in s.trials[1:11]] == [*range(10)]
    assert s.counts == {**dict.fromkeys(s.counts, 0), "done": 40}


@pytest.mark.parametrize("strategy", ["random", "sobol", "grid"])
def test_proposals_made_together_are_those_made_one_by_one(strategy):
    space = {"k": tt.Int(0, 40), "c": tt.Choice("a", "b")}
    s = study(None, strategy, space, replicates=2)
    for _ in range(9):
        s.tell(s.ask(), 1.0)
    held = [s.ask() for _ in range(3)]
    ledger, folded = s._live.refresh(), s._live._fold()
    together = engine.suggest_each(s.spec, folded, [*ledger.open.values()], 12, 20)
    alone = [s.ask() for _ in range(20)]
    assert len(held) == 3
    assert [p.params for p in together] == [a.params for a in alone]
    assert [p.seed for p in together] == [a.seed for a in alone]


def test_a_database_has_as_many_rows_as_trials(tmp_path):
    s = study(f"sqlite:///{tmp_path}/t.db")
    s.run(objective, trials=64, quiet=True)
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection:
        count = lambda table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: E731
        assert (count("trials"), count("reports")) == (64, 64)
