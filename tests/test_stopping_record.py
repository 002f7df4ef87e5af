"""Stops on record: by which version of a rule, and whether they are derived again, also after a revision of the rules."""

from dataclasses import replace
from random import Random

import pytest

import trimtab as tt
from trimtab import replay, stopping
from trimtab.canonical import digest
from trimtab.goals import Goal
from trimtab.stopping.rules import StoppingRules, verdicts
from trimtab.stopping.threshold import Threshold

X = tt.Space(x=tt.Float(0, 1))


def curves(trials=60, epochs=27):
    """(number, step, metrics, written) of trials that learn at several paces, some of them at the same time."""
    rng, made = Random(0), []
    for first in range(0, trials, 3):
        ends = {n: (rng.random(), rng.random()) for n in range(first, first + 3)}
        for step in range(1, epochs + 1):
            for n, (end, pace) in ends.items():
                loss = end + 1 / (1 + pace * step) + rng.gauss(0, 0.02)
                made.append((n, float(step), {"loss": loss, "norm": rng.random()}, len(made) + 1))
    return made


GOLDEN = {  # by rule: its version, how many of the trials it stops, and the digest of all verdicts
    "asha": ("1", 39, "8398ed609a3da5dc"),
    "forgiving": ("1", 54, "5ae55f08f923a929"),
    "hyperband": ("1", 32, "57da5f09197c3f09"),
    "median": ("1", 31, "4c38f68265f03a83"),
    "percentile": ("1", 40, "2bde9ee45d1068cc"),
    "plateau": ("2", 37, "f36c1c1e26313720"),
    "threshold": ("2", 29, "b28cc52673a906cf"),
    "wilcoxon": ("1", 55, "0de045622569aa6c"),
}


@pytest.mark.parametrize("name", sorted({*stopping.names()} - stopping.PAUSING))
def test_another_verdict_of_a_rule_is_another_version_of_it(name):
    """If the verdicts are meant to differ, raise the version; pausing rules have theirs in that of the strategy."""
    settings = {"threshold": {"metric": "norm", "above": 0.98}, "plateau": {"patience": 4}}.get(name, {})
    rule = stopping.rule({"rule": name, **settings})
    made = StoppingRules([stopping.to_json(rule)], tt.Fidelity("epochs", 1, 27), [Goal("loss", False)], (), exempt=None)
    found = [(n, v.step, v.why) for n, v in verdicts(made, curves()).items()]
    assert (rule.version, len(found), digest(found)[:16]) == GOLDEN[name]


def study(*rules):
    return tt.Study("s", X, minimize="loss", stopping=[*rules], seed=1)


@pytest.mark.parametrize("after", [None, Threshold("loss", above=99.0), Threshold("loss", above=6.0)])
def test_a_stop_is_derived_again_although_the_rules_were_revised_before_the_trial_ended(after):
    made = study(Threshold("loss", above=5.0))
    held = made.ask()
    held.report(1, loss=9.0)
    assert held.should_stop()
    made.revise(stopping=after)
    other = made.ask()
    other.report(1, loss=1.0)  # is judged by the new rules
    made.tell(other, 1.0)
    ended = made.tell(held)
    assert (ended.state, ended.verdict["why"]) == ("stopped", "threshold: loss = 9 is above 5")
    assert made.replay().holds
    assert made.replay().verdicts == 1


def judged(made, **verdict):
    """(what is wrong, what another version decided), if the record of trial 0's verdict were changed so; None leaves a part
    out."""
    (t,) = made.trials
    told = {k: v for k, v in {**t.verdict, **verdict}.items() if v is not None}
    return replay.verdicts([replace(t, verdict=told)], made.storage.reports(made.record.id), made.storage.events(1))[1:]


def test_a_verdict_names_the_version_of_its_rule():
    made = study(Threshold("loss", above=5.0))
    held = made.ask()
    held.report(1, loss=9.0)
    held.should_stop()
    assert made.tell(held).verdict["version"] == "2"
    assert made.verify() == []
    assert judged(made, version=None) == ({}, {})  # that is version 1
    assert judged(made, version="7") == ({}, {})  # it says the same
    different = "recorded 'too high', derived again 'threshold: loss = 9 is above 5'"
    assert judged(made, why="too high") == ({0: different}, {})
    assert judged(made, why="too high", version=None) == ({}, {0: "threshold version 1, which is version 2 here"})
    unknown = {"rule": "median", "version": "7"}  # the study never had such a rule, of whatever version
    assert judged(made, **unknown) == ({0: different.replace("too high", "threshold: loss = 9 is above 5")}, {})
