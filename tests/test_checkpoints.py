"""Checkpoints: a trial's directory lives as long as somebody needs it, over attempts and processes, and not longer."""

import gc

import pytest

import trimtab as tt
from trimtab.checkpoints import VARIABLE
from trimtab.errors import SpecError
from trimtab.objective import ActiveTrial

SPACE = tt.Space(x=tt.Float(0, 1))


def saving(trial):
    (trial.checkpoint / "state").write_text(str(trial.number))
    return trial.params["x"]


def held(study):
    root = study.checkpoint(0).parent
    return {int(p.name) for p in root.iterdir()} if root.exists() else set()


@pytest.mark.parametrize("workers", [1, 2])
def test_of_ended_trials_only_the_best_one_keeps_its_directory(tmp_path, workers):
    study = tt.Study("s", SPACE, minimize="loss", storage=f"sqlite:///{tmp_path}/t.db", strategy="random", seed=1)
    study.run(saving, trials=6, workers=workers, quiet=True)
    assert held(study) == {study.best.number}
    assert (study.checkpoint(study.best.number) / "state").read_text() == str(study.best.number)
    assert study.checkpoint(0).parent.parent == tmp_path / "t.db.checkpoints"
    study.run(saving, trials=9, workers=workers, quiet=True)
    assert held(study) == {study.best.number}


def test_a_second_attempt_finds_what_the_first_one_saved(tmp_path):
    study = tt.Study(
        "s", SPACE, minimize="loss", storage=f"sqlite:///{tmp_path}/t.db", strategy="random", seed=1, retries=1
    )

    def fragile(trial):
        state = trial.checkpoint / "epoch"
        if not state.exists():
            state.write_text("7")
            raise RuntimeError("the machine was taken away")
        assert (trial.attempt, state.read_text()) == (2, "7")
        return 0.0

    study.run(fragile, trials=2, quiet=True)
    assert study.counts["done"] == 2


def test_asked_trials_have_one_until_they_are_told():
    study = tt.Study("s", SPACE, minimize="loss", strategy="random", seed=1)
    trials = [study.ask() for _ in range(3)]
    for trial in trials:
        saving(trial)
    assert held(study) == {0, 1, 2}
    study.tell(trials[0], 0.5)
    assert held(study) == {0, 1, 2}  # the best so far
    study.tell(trials[1], 0.1)
    assert held(study) == {1, 2}
    study.tell(trials[2], failed="no luck")
    assert held(study) == {1}
    root = study.checkpoint(0).parent
    del study, trial, trials
    gc.collect()
    assert not root.exists()  # of a study in memory


def test_who_saves_nothing_makes_no_directory_and_a_place_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "shared"))
    study = tt.Study("s", SPACE, minimize="loss", strategy="random", seed=1)
    study.run(lambda trial: trial.params["x"], trials=3, quiet=True)
    assert not (tmp_path / "shared").exists()
    study.run(saving, trials=5, quiet=True)
    assert study.checkpoint(0).parent.parent == tmp_path / "shared"


def test_a_trial_without_a_place_says_so():
    study = tt.Study("s", SPACE, minimize="loss", strategy="random", seed=1)
    study.run(lambda trial: 0.0, trials=1, quiet=True)
    bare = ActiveTrial.of(study.trials[0], lambda message: {})
    with pytest.raises(SpecError, match="no directory for checkpoints"):
        _ = bare.checkpoint
