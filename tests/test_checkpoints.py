"""Checkpoints: a trial's directory lives as long as somebody needs it, over attempts and processes, and not longer."""

import gc
import os
import shutil
import signal
import time

import pytest
from checkpoints import held

import trimtab as tt
from trimtab.errors import SpecError, StorageError
from trimtab.live.checkpoints import KEEP, QUOTA, VARIABLE
from trimtab.objective import ActiveTrial, handover
from trimtab.objective.trial import UNREAD
from trimtab.stopping.promotion import Promotion
from trimtab.strategies.pbt import PBT
from trimtab.strategies.random import Random

SPACE = tt.Space(x=tt.Float(0, 1))


def saving(trial):
    (trial.checkpoint / "state").write_text(str(trial.number))
    return trial.params["x"]


@pytest.mark.parametrize("workers", [1, 2])
def test_of_ended_trials_only_the_best_one_keeps_its_directory(tmp_path, workers):
    study = tt.Study("s", SPACE, minimize="loss", storage=f"sqlite:///{tmp_path}/t.db", strategy="random", seed=1)
    study.run(saving, trials=6, workers=workers, quiet=True)
    assert held(study) == {study.best.number}
    assert (study.checkpoint(study.best.number) / "state").read_text() == str(study.best.number)
    assert study.checkpoint(0).parent.parent == tmp_path / "t.db.checkpoints"
    study.run(saving, trials=9, workers=workers, quiet=True)
    assert held(study) == {study.best.number}


def test_a_variable_that_is_empty_names_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    study = tt.Study("s", SPACE, minimize="loss", storage=f"sqlite:///{tmp_path}/t.db")
    study.enqueue({"x": 0.5})
    assert study.checkpoint(0).parent.parent == tmp_path / "t.db.checkpoints"


def test_a_training_that_is_killed_again_and_again_ends_if_its_checkpoints_take_it_further(tmp_path):
    def killed_in_each_epoch(trial):
        state = trial.checkpoint / "epoch"
        begun = int(state.read_text()) if state.exists() else 0
        trial.report(begun + 1, loss=1.0)
        state.write_text(str(begun + 1))
        if begun < 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0.0

    study = tt.Study("s", SPACE, minimize="loss", storage=f"sqlite:///{tmp_path}/t.db")
    study.run(killed_in_each_epoch, trials=1, workers=2, quiet=True)
    (trial,) = study.trials
    assert (trial.state, trial.attempt) == ("done", 6)


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


def test_who_was_thought_dead_cannot_write_to_the_checkpoint_of_who_took_over(tmp_path):
    study = tt.Study("s", SPACE, minimize="loss", storage=f"sqlite:///{tmp_path}/t.db", strategy="random", seed=1)
    first = study.ask(lease=0.05)
    state = first.checkpoint / "epoch"
    state.write_text("3")
    time.sleep(0.1)
    second = study.ask()
    assert (second.number, second.attempt) == (0, 2)
    assert (second.checkpoint / "epoch").read_text() == "3"
    (second.checkpoint / "epoch").write_text("9")
    with pytest.raises(FileNotFoundError):
        state.write_text("4")
    (first.checkpoint / "epoch").write_text("5")
    study.tell(second, 0.5)
    assert (study.checkpoint(0) / "epoch").read_text() == "9"
    assert [p.name for p in study.checkpoint(0).parent.iterdir()] == ["0-2"]


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


def test_a_study_in_memory_keeps_its_directories_when_it_was_only_looked_at():
    study = tt.Study("s", SPACE, minimize="loss", strategy="random", seed=1)
    study.run(saving, trials=3, quiet=True)
    looked = tt.Study("s", storage=study.storage)
    assert held(looked) == {study.best.number}
    del looked
    gc.collect()
    assert held(study) == {study.best.number}


def test_who_saves_nothing_makes_no_directory_and_a_place_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "shared"))
    study = tt.Study("s", SPACE, minimize="loss", strategy="random", seed=1)
    study.run(lambda trial: trial.params["x"], trials=3, quiet=True)
    assert not (tmp_path / "shared").exists()
    study.run(saving, trials=5, quiet=True)
    assert study.checkpoint(0).parent.parent == tmp_path / "shared"


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    study = tt.Study("s", SPACE, minimize="loss", strategy="random", storage="sqlite:///~/s.db")
    study.run(saving, trials=1, quiet=True)
    assert study.checkpoint(0).is_relative_to(tmp_path / "s.db.checkpoints")


def test_a_trial_without_a_place_says_so():
    study = tt.Study("s", SPACE, minimize="loss", strategy="random", seed=1)
    study.run(lambda trial: 0.0, trials=1, quiet=True)
    bare = ActiveTrial.of(study.trials[0], lambda message: {})
    with pytest.raises(SpecError, match="no directory for checkpoints"):
        _ = bare.checkpoint


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("saves", [True, False])
def test_trials_that_never_look_at_what_they_are_handed_are_told_once_and_early(saves, workers, tmp_path, capfd):
    study = tt.Study(
        "s", SPACE, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 9), stopping=Promotion(trust=0),
        budget={"trials": 30}, seed=1, storage=f"sqlite:///{tmp_path}/s.db",
    )  # fmt: skip

    def train(trial):
        if saves:
            (trial.checkpoint / "state").write_text(str(trial.fidelity))
        return abs(trial.params["x"] - 0.3) / trial.fidelity

    study.run(train, workers=workers)
    went_on = [t for t in study.trials if t.parent is not None]
    assert {t.notes for t in went_on} == ({()} if saves else {(UNREAD,)})
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("s: ")]
    (notice,) = study.notices or [""]
    assert ("trained from scratch" in notice) is not saves
    assert told.count(f"s: {notice}") == (not saves)
    assert saves or told.index(f"s: {notice}") < len(told) - 1  # while it runs


def test_who_asks_and_tells_and_never_looks_at_what_is_handed_over_is_told():
    study = tt.Study(
        "s", SPACE, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 9), stopping=Promotion(trust=0), seed=1
    )
    while (trial := study.ask()).parent is None:
        study.tell(trial, trial.params["x"])
    assert study.tell(trial, 0.5).notes == (UNREAD,)
    assert any("trained from scratch" in n for n in study.notices)


def test_a_promoted_trial_whose_checkpoint_has_gone_begins_anew_and_notes_it(tmp_path):
    how = {"minimize": "loss", "fidelity": tt.Fidelity("epochs", 1, 9), "stopping": Promotion(trust=0), "seed": 1}
    study = tt.Study("s", SPACE, storage=f"sqlite:///{tmp_path}/t.db", strategy="random", **how)
    study.run(saving, trials=3, quiet=True)
    shutil.rmtree(study.checkpoint(0).parent)
    study.run(saving, trials=12, quiet=True)
    promoted = [t for t in study.trials if t.parent is not None and t.parent < 3]
    assert promoted
    for trial in promoted:
        said = f"begins anew: there is no checkpoint of trial {trial.parent} in {study.checkpoint(0).parent}"
        assert trial.notes == (said,)
    assert study.counts["failed"] == 0


@pytest.mark.parametrize("end", ["cancel", "archive", "fresh"])
def test_of_a_study_that_is_ended_for_good_only_the_best_one_stays_and_of_a_deleted_one_nothing(tmp_path, end):
    how = {"minimize": "loss", "fidelity": tt.Fidelity("epochs", 1, 4), "strategy": PBT(4, 4), "seed": 1}
    study = tt.Study("s", SPACE, storage=f"sqlite:///{tmp_path}/t.db", **how)
    study.run(saving, trials=13, quiet=True)
    assert len(held(study)) > 1
    if end == "fresh":
        tt.Study("s", SPACE, storage=f"sqlite:///{tmp_path}/t.db", fresh=True, **how)
    else:
        getattr(study, end)()
    assert held(study) == {study.best.number}
    folder = study.checkpoint(0).parent
    study.delete()
    assert not folder.exists()


def test_without_the_object_of_the_strategy_nothing_is_collected_and_results_are_taken(tmp_path):
    class Own(Random):
        pass

    url = f"sqlite:///{tmp_path}/t.db"
    study = tt.Study("s", SPACE, minimize="loss", storage=url, strategy=Own(name="own"), seed=1)
    numbers = [saving(trial) and trial.number for trial in (study.ask(), study.ask())]
    other = tt.Study("s", storage=url)
    for number in numbers:
        other.tell(number, 0.1 * number)
    assert held(other) == {0, 1}
    study.run(saving, trials=3, quiet=True)
    assert held(study) == {study.best.number}


# ------------------------------------------------------------------------------------------ the best k, quota, early warning


def heavy(trial):
    (trial.checkpoint / "weights").write_bytes(bytes(1024))
    return trial.params["x"]


def test_the_best_k_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(KEEP, "3")
    study = tt.Study("s", SPACE, minimize="loss", storage=f"sqlite:///{tmp_path}/t.db", strategy="random", seed=1)
    study.run(heavy, trials=8, quiet=True)
    best = sorted(study.trials, key=lambda t: t.metrics["loss"])[:3]
    assert held(study) == {t.number for t in best}


def test_near_the_quota_there_is_a_warning_and_beyond_it_the_best_but_one_go(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(KEEP, "3")
    monkeypatch.setenv(QUOTA, "3.5KiB")
    study = tt.Study("s", SPACE, minimize="loss", storage=f"sqlite:///{tmp_path}/t.db", strategy="random", seed=1)
    study.run(heavy, trials=8, quiet=True)
    assert len(held(study)) == 3
    assert [r.getMessage().split(" fill ")[1] for r in caplog.records] == [f"3 KiB of {QUOTA}=3.5 KiB"]
    monkeypatch.setenv(QUOTA, "1.5KiB")
    study.run(heavy, trials=9, quiet=True)
    assert held(study) == {study.best.number}


def test_what_is_needed_is_never_removed_and_a_larger_quota_lets_the_study_go_on(tmp_path, monkeypatch):
    monkeypatch.setenv(QUOTA, "2.5KiB")
    how = {"minimize": "loss", "fidelity": tt.Fidelity("epochs", 1, 4), "strategy": PBT(4, 4), "seed": 1}
    study = tt.Study("s", SPACE, storage=f"sqlite:///{tmp_path}/t.db", **how)
    with pytest.raises(StorageError, match=f"need 3 KiB, {QUOTA} is 2.5 KiB: raise it, save less, or take a smaller"):
        study.run(heavy, trials=16, quiet=True)
    monkeypatch.setenv(QUOTA, "20kB")
    study.run(heavy, trials=16, quiet=True)
    assert study.counts["done"] == 16
    assert held(study) == {study.best.number}


@pytest.mark.parametrize(("variable", "value"), [(KEEP, "0"), (KEEP, "many"), (QUOTA, "-1"), (QUOTA, "a lot")])
def test_a_setting_that_is_none_says_so(tmp_path, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    study = tt.Study("s", SPACE, minimize="loss", storage=f"sqlite:///{tmp_path}/t.db", strategy="random", seed=1)
    with pytest.raises(SpecError, match=variable):
        study.run(heavy, trials=3, quiet=True)


# ------------------------------------------------------------------------------------------------------------ a full disk


def writes_to_a_full_disk(trial):
    link = trial.checkpoint / "state"
    if not link.exists():
        link.symlink_to("/dev/full" if trial.number == 3 and trial.attempt == 1 else "real")
    try:
        link.write_text("7")
    except OSError as error:
        link.unlink()
        raise RuntimeError("the state could not be saved") from error
    return trial.params["x"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_no_trial_s_fault_it_ends_the_run_and_with_room_the_same_line_goes_on(tmp_path, workers):
    study = tt.Study("s", SPACE, minimize="loss", storage=f"sqlite:///{tmp_path}/t.db", strategy="random", seed=1)
    with pytest.raises(StorageError, match=r"have no room: RuntimeError: the state could not be saved; the disk, or"):
        study.run(writes_to_a_full_disk, trials=6, workers=workers, quiet=True)
    assert (study.trials[3].state, study.counts["failed"], study.counts["running"]) == ("queued", 0, 0)
    study.run(writes_to_a_full_disk, trials=6, workers=workers, quiet=True)
    assert (study.trials[3].attempt, study.counts["done"]) == (2, 6)
    assert study.verify() == []


@pytest.mark.parametrize("saves", [True, False])
def test_of_programs_that_only_say_that_they_could_not_write_the_disk_is_asked(saves, monkeypatch):
    monkeypatch.setattr(handover, "is_full", lambda folder: True)

    def fails(trial):
        if saves:
            trial.checkpoint.joinpath("state").write_text("7")
        raise RuntimeError("file write failed")

    study = tt.Study("s", SPACE, minimize="loss", strategy="random", seed=1)
    if saves:
        with pytest.raises(StorageError, match="have no room: RuntimeError: file write failed"):
            study.run(fails, trials=2, quiet=True)
    else:
        study.run(fails, trials=2, quiet=True)
    assert study.counts["failed"] == (0 if saves else 2)


def test_a_parent_s_checkpoint_that_has_no_room_for_its_copy_ends_the_run(tmp_path, monkeypatch):
    def fills_the_disk(source, target, **_):
        shutil.copyfile(source / "state", target / "state")
        monkeypatch.setattr(handover, "is_full", lambda folder: (target / "state").exists())
        raise shutil.Error([(source, target, "[Errno 28] No space left on device")])

    monkeypatch.setattr(shutil, "copytree", fills_the_disk)
    how = {"minimize": "loss", "fidelity": tt.Fidelity("epochs", 1, 4), "strategy": PBT(4, 4), "seed": 1}
    study = tt.Study("s", SPACE, storage=f"sqlite:///{tmp_path}/t.db", **how)
    with pytest.raises(StorageError, match=r"have no room: OSError: .*No space left on device"):
        study.run(saving, trials=16, quiet=True)
    assert (study.counts["failed"], study.counts["queued"], len(held(study))) == (0, 1, 4)


def test_an_error_whose_causes_form_a_circle_is_read_all_the_same(tmp_path):
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert not handover.lacks_room(tmp_path / "0", one)
