"""What a notebook shows of results: what is to be read, on one screen."""

from dataclasses import replace

import pytest

import trimtab as tt
from trimtab.evidence import across


@pytest.fixture
def study(space, objective, url):
    made = tt.Study("s", space, minimize="loss", storage=url, seed=1)
    made.run(objective, trials=3, quiet=True, supervised=True)
    return made


def test_a_trial_is_one_line(study):
    best, failed = study.best, study.tell(study.ask(), failed="out of luck")
    assert repr(best) == f"<Trial {best.number}: done, params={best.params}, metrics={best.metrics}>"
    assert repr(failed).startswith(f"<Trial {failed.number}: failed (error), params=")


def test_answers_are_their_texts(study, objective):
    found = study.evidence(objective, replicates=2, quiet=True)
    noisy = replace(found, pairs=((1.0, 0.9), (1.0, 0.8)))
    for shown in (study.standings, study.outlook(), study.replay(), found, across([noisy, noisy])):
        assert repr(shown) == shown.text()


def test_standings_are_a_table_of_the_ten_best(study, objective):
    assert repr(tt.Study("new", study.spec.space, minimize="loss").standings).startswith("no setting that may be used")
    first = study.standings.order[0]
    head, line, *_ = study.standings.text().splitlines()
    assert head.split() == ["trial", "loss", "setting"]  # of three results, nothing is known of chances
    assert line.split()[:2] == [str(study.best.number), first.expected]
    assert repr(first) == f"<Standing of trial {study.best.number}: {first.expected}>"
    study.run(objective, trials=30, quiet=True)
    found = study.standings
    lines = found.text().splitlines()
    assert lines[0].split() == ["trial", "loss", "setting"]  # there is no noise: values are trusted
    assert [int(line.split()[0]) for line in lines[1:11]] == [s.candidate.number for s in found.order[:10]]
    assert lines[11:] == [f"and {len(found.order) - 10} other settings", *([found.warning] if found.warning else [])]


def test_long_rows_of_numbers_are_summed_up(study, objective):
    study.run(objective, trials=25, quiet=True)
    told = study.explain()
    assert repr(told) == "<Explanation of loss: study 's', 25 results>"
    assert repr(told.dependence("rate")).startswith("<Dependence on rate: ")
    assert repr(told.surface("rate", "kind")).startswith("<Surface over rate and kind: ")
    assert repr(told.calibration()).startswith("<Calibration over 25 results: r2 ")
    assert repr(study.record).startswith("<StudyRecord 's' (open): 25 trials, ")
    assert "history, parallel" in repr(study.plot)


def test_times_in_the_frame_are_timestamps(study):
    running = study.ask()
    frame = study.frame().set_index("number")
    assert [t.timestamp() for t in frame["started"]] == pytest.approx([t.started for t in study.trials])
    assert frame["ended"].isna().to_dict() == {n: n == running.number for n in range(len(study.trials))}
