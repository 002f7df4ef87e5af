"""Populations: intervals with lineage and checkpoints handed over, schedules drawn, exported and trained again, and kill -9."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from dataclasses import replace

import numpy as np
import postgres
import pytest
from checkpoints import held
from click.testing import CliRunner
from leases import run_out
from training import TEXT, train

import trimtab as tt
from trimtab.cli import cli
from trimtab.errors import Exhausted, ObjectiveError, SpecError
from trimtab.replay import replay
from trimtab.reports import Plots
from trimtab.reports.document import drawings
from trimtab.reports.facts import Facts
from trimtab.schedule import Schedule
from trimtab.strategies import Problem, strategy
from trimtab.strategies.pb2 import PB2, Gains
from trimtab.strategies.pbt import PBT
from trimtab.testing.continuing import campaign

SPACE = tt.Space(rate=tt.Float(1e-3, 1.0, log=True), kind=tt.Choice("a", "b"))
EPOCHS = tt.Fidelity("epochs", 1, 12)


def population(url, strategy, name="p", **more):
    return tt.Study(name, SPACE, minimize="loss", fidelity=EPOCHS, strategy=strategy, storage=url, seed=1, **more)


@pytest.mark.parametrize(
    "strategy", [PBT(8, 6), PB2(8, 6), PBT(8, 4, frequencies=(1, 2))], ids=["pbt", "pb2", "several"]
)
@pytest.mark.parametrize("workers", [1, 3])
def test_every_member_is_trained_to_the_top_and_every_copy_is_derived_again(tmp_path, strategy, workers):
    study = population(f"sqlite:///{tmp_path}/t.db", strategy)
    study.run(train, trials=100, workers=workers, quiet=True)
    assert sum(t.fidelity == 12 for t in study.trials) == 8
    assert len(study.trials) == sum(
        strategy.intervals // strategy.frequencies[i % len(strategy.frequencies)] for i in range(8)
    )
    assert study.spec.stopping == ()  # who is bad is replaced, not stopped
    copies = [t for t in study.trials if "copies" in t.why]
    assert copies or len(strategy.frequencies) > 1
    assert all(t.parent == t.why["copies"] != t.why["instead of"] for t in copies)
    assert study.best.fidelity == 12
    assert held(study) == {study.best.number}
    again = population(f"sqlite:///{tmp_path}/t.db", strategy).replay()
    assert again.holds
    assert again.exact == len(study.trials)
    assert study.verify() == []


def test_networks_that_ended_with_the_same_values_are_not_repetitions(tmp_path):
    """Or another one's result would move the best to one whose checkpoint has gone."""
    study = population(f"sqlite:///{tmp_path}/t.db", PBT(4, 2, fixed=("rate", "kind")))
    first = [study.ask() for _ in range(4)]
    for trial, loss in zip(first, [1.0, 1.0, 1.0, 2.0], strict=True):
        assert trial.checkpoint.is_dir()
        study.tell(trial, loss)
    second = [study.ask() for _ in range(4)]
    alike = [t for t in second if sum(t.params == other.params for other in second) > 1]
    assert len(alike) == 2
    (other, *_) = [t for t in second if t not in alike]
    for trial, loss in [(alike[0], 1.0), (other, 1.1), (alike[1], 5.0)]:
        assert trial.checkpoint.is_dir()
        study.tell(trial, loss)
    assert study.best.number == alike[0].number
    assert study.best.metrics == {"loss": 1.0}
    assert study.checkpoint(alike[0].number).is_dir()


def test_what_is_said_of_a_member_is_not_what_another_one_with_the_same_values_had(tmp_path):
    """Both ended with the same values, but after different histories."""

    def by_number(trial):
        return 1.0 - trial.number / 100

    limited = {"baseline": {"rate": 0.1, "kind": "a"}, "subject_to": "loss <= 0.955"}
    study = population(None, PBT(4, 2, fixed=("rate", "kind")), **limited)
    study.run(by_number, trials=9, quiet=True)
    ended = [t for t in study.trials if t.why.get("member") is not None and t.fidelity == 12]
    first, second = next((a, b) for a in ended for b in ended if a.number < b.number and a.params == b.params)
    for member in (first, second):
        found = study.evidence(by_number, tuned=member.number, replicates=2, quiet=True)
        assert found.worth.searched == member.metrics["loss"]
        study.report(tmp_path / "r.json")
        said = (tmp_path / "r.json").read_text(encoding="utf-8")
        assert f"Close to a limit (loss <= 0.955): loss is {member.metrics['loss']:g}, 0.955 is allowed." in said


def test_a_member_that_fails_is_replaced_by_a_copy_of_a_good_one(tmp_path):
    def fragile(trial):
        if trial.number in (3, 9, 10):
            raise RuntimeError("out of luck")
        return train(trial)

    study = population(f"sqlite:///{tmp_path}/t.db", PBT(4, 4))
    study.run(fragile, trials=40, quiet=True)
    assert study.counts["failed"] == 3
    assert sum(t.fidelity == 12 and t.state == "done" for t in study.trials) == 4
    parents = {t.parent for t in study.trials}
    assert not parents & {3, 9, 10}
    assert study.replay().holds


def test_asked_members_have_their_parents_state_and_wait_for_results():
    study = population(None, PBT(4, 2))
    first = [study.ask() for _ in range(4)]
    with pytest.raises(Exhausted, match="before a running trial has ended"):
        study.ask()
    for trial in first:
        study.tell(trial, train(trial))
    second = [study.ask() for _ in range(4)]
    assert {t.fidelity for t in first} == {6}
    assert {t.fidelity for t in second} == {12}
    for trial in second:
        assert json.loads((trial.checkpoint / "state.json").read_text())[1] == 6
        study.tell(trial, train(trial))
    with pytest.raises(Exhausted, match="trained to the top"):
        study.ask()


def test_the_budget_says_how_many_members_there_are():
    study = population(None, PBT(intervals=6), budget=tt.Budget(trials=36))
    study.run(train, quiet=True)
    assert len({t.why["member"] for t in study.trials}) == 5
    assert len(study.trials) == 30


def test_members_that_a_raised_budget_adds_copy_nobody_whose_checkpoint_has_gone(tmp_path):
    """The first ones had arrived at the top, and nobody needed what they had saved on the way."""
    for trials in (36, 72):
        study = population(f"sqlite:///{tmp_path}/t.db", PBT(intervals=6), budget=tt.Budget(trials=trials))
        study.run(train, quiet=True)
    assert study.counts["done"] == len(study.trials) == 66
    assert study.counts["failed"] == 0
    later = [t for t in study.trials if t.number >= 30]
    assert any("copies" in t.why for t in later)
    assert all(t.parent is None or t.parent >= 30 for t in later)
    assert held(study) == {study.best.number}
    assert study.replay().exact == 66


def test_a_smaller_budget_has_fewer_members_and_the_others_may_still_be_copied(tmp_path):
    url = f"sqlite:///{tmp_path}/t.db"
    wide = population(url, PBT(intervals=6), budget=tt.Budget(trials=72))
    wide.run(train, trials=24, quiet=True)
    study = population(url, PBT(intervals=6), budget=tt.Budget(trials=54))
    study.run(train, quiet=True)
    assert study.counts["done"] == len(study.trials)
    assert {t.why["member"] for t in study.trials if t.fidelity == 12} == set(range(8))
    assert study.replay().holds


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (PBT(population=3), "population=3 must be a whole number of at least 4"),
        (PBT(population=6, frequencies=(1, 2)), "at least 8"),
        (PBT(intervals=40), "intervals=40 are too many for a fidelity from 1 to 12"),
        (PBT(intervals=10**12), "it must be at most 10000"),
        (PBT(frequencies=(99991, 99989)), "take fewer"),
        (PBT(intervals=6, frequencies=(1, 4)), "must be a multiple of 4"),
        (PBT(frequencies=(0,)), "frequencies=0 must be a whole number"),
        (PBT(fixed=("depth",)), "names no parameters; the space has rate, kind"),
        (PBT(step=2), "step=2 must be a number from 0 to 1"),
        (PB2(quantile=0.9), "quantile=0.9 must be above 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(strategy, said):
    with pytest.raises(SpecError, match=said):
        population(None, strategy)


def test_a_fidelity_without_room_for_two_intervals_is_refused_with_what_helps():
    narrow = Problem(tt.Space(x=tt.Float(0, 1)), rungs=(10.0, 12.0))
    with pytest.raises(SpecError, match=r"intervals=2 are too many for a fidelity from 10 to 12; .* a smaller low"):
        PBT().init(narrow)


def test_numbers_of_numpy_are_settings_like_any_other():
    made = population(None, PBT(step=np.float32(0.5), resample=np.int64(0), quantile=np.float32(0.25)))
    assert made.spec.settings["step"] == 0.5
    made.run(train, trials=4, quiet=True)


def test_a_loss_that_diverged_hides_no_gain_of_others():
    run = campaign(strategy("pb2"), 3, trouble=0.0)
    for _ in run.turns():
        continue
    Y = run.rows.Y.copy()
    Y[20] = 1e20
    run.rows = replace(run.rows, Y=Y)
    gains = Gains.of(run.state())
    for level in np.unique(gains.F[:, 0]):
        same = gains.y[gains.F[:, 0] == level]
        assert np.median(np.abs(same)) > 0.1


def test_without_a_fidelity_there_is_no_population():
    with pytest.raises(SpecError, match="trains in intervals: give the study fidelity"):
        tt.Study("p", SPACE, minimize="loss", strategy="pbt")


def test_what_a_model_cannot_change_comes_with_the_copy(tmp_path):
    study = population(f"sqlite:///{tmp_path}/t.db", PBT(8, 6, fixed=("kind",), resample=1.0))
    study.run(train, trials=48, quiet=True)
    known = {t.number: t for t in study.trials}
    assert all(t.params["kind"] == known[t.parent].params["kind"] for t in study.trials if t.parent is not None)


# ------------------------------------------------------------------------------------------------------------ schedules


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    study = population(f"sqlite:///{tmp_path_factory.mktemp('trained')}/t.db", PBT(8, 6))
    study.run(train, trials=48, quiet=True)
    return study


def test_a_schedule_gives_the_recorded_result_again_as_a_plain_training(trained, tmp_path):
    made = trained.schedule()
    assert [s.until for s in made.stretches] == [2, 4, 6, 8, 10, 12]
    assert made.stretches[-1].trial == trained.best.number
    assert made.at(3) == made.stretches[1].params
    assert Schedule.from_yaml(made.to_yaml()) == made
    assert repr(made).startswith("<Schedule of study 'p': until epochs 12, stretches=6, metrics=")
    heard = []
    again = made.train(train, folder=tmp_path / "model", report=lambda step, metrics: heard.append(step))
    assert again == trained.best.metrics
    assert heard == [*range(1, 13)]
    assert json.loads((tmp_path / "model" / "state.json").read_text())[1] == 12
    assert made.train(train, seed=5) == made.train(train, seed=5)


def test_an_interrupt_ends_a_training_by_a_schedule_even_if_the_objective_catches_it(trained):
    ran = []

    def catches(trial):
        ran.append(trial.number)
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return train(trial)

    with pytest.raises(KeyboardInterrupt):
        trained.schedule().train(catches)
    assert ran == [0]


def test_a_schedule_that_cannot_be_says_so(trained):
    whole = trained.schedule().to_yaml()
    with pytest.raises(SpecError, match="trial 99 does not exist; the study has 48 trials, numbered from 0"):
        trained.schedule(99)
    with pytest.raises(SpecError, match="beyond the end of the schedule, 12"):
        trained.schedule().at(13)
    for text in (
        "a: 1",
        b"\xff\xfe\x00",
        "[" * 1000,
        whole.replace("seed: ", "seed: .inf # "),
        whole.replace("loss: ", "loss: a"),
    ):
        with pytest.raises(SpecError, match="this is no schedule"):
            Schedule.from_yaml(text)
    for end in (".nan", ".inf", "0"):
        with pytest.raises(SpecError, match="each must end later than the one before, at a number"):
            Schedule.from_yaml(whole.replace("until: ", f"until: {end} # "))
    with pytest.raises(ObjectiveError, match="stretch 1, until 2: RuntimeError: no data"):
        trained.schedule().train(lambda trial: (_ for _ in ()).throw(RuntimeError("no data")))


def test_the_command_line_exports_a_schedule_and_trains_by_it(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TEXT)
    url = trained.storage.url
    written = CliRunner().invoke(cli, ["schedule", "p", "--out", "new/s.yaml", "--storage", url])
    assert (written.exit_code, written.output) == (0, "new/s.yaml\n")
    ran = CliRunner().invoke(cli, ["train", "new/s.yaml", "train.py:train"])
    assert json.loads(ran.output)["metrics"] == json.loads(ran.output)["recorded"] == dict(trained.best.metrics)
    shown = CliRunner().invoke(cli, ["schedule", "p", "0", "--storage", url])
    assert Schedule.from_yaml(shown.output).stretches[0].trial == 0


def test_an_interrupted_training_by_a_schedule_says_that_it_begins_anew(trained, tmp_path, monkeypatch):
    """There is no study behind it, and so no queue to which a trial would be given back."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(trained.schedule().to_yaml())
    (tmp_path / "stopped.py").write_text("def train(trial):\n    raise KeyboardInterrupt\n")
    words = ["train", "s.yaml", "stopped.py:train"]
    monkeypatch.setattr(sys, "argv", ["trimtab", *words])
    ran = CliRunner().invoke(cli, words)
    assert ran.exit_code == 130
    assert ran.stderr == f"trimtab: interrupted; nothing was recorded. Begin anew with: trimtab {' '.join(words)}\n"


def test_lineage_and_schedule_are_drawn(trained):
    lineage, schedule = trained.plot.lineage(), trained.plot.schedule()
    names = [trace.name for trace in lineage.data]
    assert names == ["goes on", "copy with other parameters", "line of the best", "interval"]
    assert len(lineage.data[-1].x) == 48
    assert max(lineage.data[2].x) == 12
    rates = [s.params["rate"] for s in trained.schedule().stretches]
    assert [*schedule.data[0].y][1:] == rates
    groups = [d.group for d in drawings(Facts(trained.record, trained.trials), None)]
    assert groups.count("population") == 2
    assert [*schedule.data[0].x] == [0, 2, 4, 6, 8, 10, 12]
    empty = tt.Study("none", SPACE, minimize="loss")
    assert len(empty.plot.lineage().data) == len(Plots(lambda: (empty.record, [])).schedule().data) == 0


def test_a_replay_finds_who_went_on_from_another_than_follows(trained):
    trials, events = trained.trials, trained.storage.events(trained.record.id)
    last, before = trials[-1], trials[-2]
    other = next(t.number for t in trials if t.fidelity == 10 and t.number != last.parent)
    told = [*trials[:-2], replace(before, fidelity=11.0), replace(last, parent=other)]
    found = replay(told, events, lambda spec: strategy(spec.strategy, **spec.settings))
    assert found.different == {
        before.number: f"recorded as going on from trial {before.parent}, to 11, "
        f"derived again as going on from trial {before.parent}, to 12",
        last.number: f"recorded as going on from trial {other}, to 12, "
        f"derived again as going on from trial {last.parent}, to 12",
    }


def test_only_trials_that_began_anew_are_run_again_by_themselves(trained):
    found = trained.reproduce(train, [0])
    assert found.holds
    child = next(t for t in trained.trials if t.parent is not None)
    with pytest.raises(SpecError, match=rf"study.schedule\({child.number}\)"):
        trained.reproduce(train, [child.number])


# --------------------------------------------------------------------------------------------------------------- kill -9

DYING = """
import os, shutil, signal
from pathlib import Path

import trimtab as tt

URL = os.environ["URL"]
PARENT = os.getppid()
copytree = shutil.copytree


def die(mark, number):  # once, with the process that runs the study: as a power cut would
    if mark == os.environ["MARK"]:
        try:
            with open(mark, "x") as file:
                file.write(str(number))
        except FileExistsError:
            return
        os.kill(PARENT, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def copied(source, target, **how):
    number = int(Path(target).name[1:].partition("-")[0])
    if "copies" in tt.Study("p", storage=URL).trials[number].why:
        (Path(target) / "state.json").write_text("half of i")
        die("exploitation", number)
    copytree(source, target, **how)


shutil.copytree = copied


def objective(trial):
    end, half = trial.fidelity, trial.fidelity - 1
    if trial.number == 9:
        trial.fidelity = half
        train(trial)
        die("rung", trial.number)
        trial.fidelity = end
    return train(trial)
"""
RUN = """
import os
import trimtab as tt
from trimtab.strategies.pbt import PBT

space = tt.Space(rate=tt.Float(1e-3, 1.0, log=True), kind=tt.Choice("a", "b"))
fidelity = tt.Fidelity("epochs", 1, 12)
study = tt.Study("p", space, minimize="loss", fidelity=fidelity, strategy=PBT(8, 6), storage=os.environ["URL"], seed=1)
study.run("train.py:objective", trials=48, workers=2, quiet=True)
"""


@pytest.mark.parametrize("mark", ["rung", "exploitation"])
def test_kill_9_loses_no_checkpoint_leaves_no_orphan_and_changes_no_decision(tmp_path, mark):
    url = f"sqlite:///{tmp_path}/t.db"
    (tmp_path / "train.py").write_text(TEXT + DYING)
    environment = {**os.environ, "URL": url, "MARK": mark}

    def run():
        return subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, env=environment, timeout=600).returncode

    assert run() == -signal.SIGKILL
    study = tt.Study("p", storage=url)
    cut = study.trials[int((tmp_path / mark).read_text())]
    assert cut.state == "running"
    assert "copies" in cut.why or mark == "rung"
    before = {t.number: t for t in study.trials if t.state == "done"}
    left = held(study)
    assert cut.parent in left
    assert mark == "rung" or any(str(name).startswith(f".{cut.number}-") for name in left)
    run_out(url)
    assert run() == 0
    study = tt.Study("p", storage=url)
    assert study.counts["done"] == len(study.trials) == 48
    assert study.trials[cut.number].attempt == cut.attempt + 1  # who waited long for its turn was given back before
    assert all(study.trials[n] == t for n, t in before.items())
    assert sum(t.fidelity == 12 for t in study.trials) == 8
    assert held(study) == {study.best.number}
    assert study.replay().exact == 48
    assert study.replay().holds
    assert study.verify() == []
    assert study.schedule().train(train) == study.best.metrics  # its state came down the whole line


# --------------------------------------------------------------------------------------- workers that share a PostgreSQL


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """Hands a population over to workers in folder `a`; returns the study."""

    def submit(code, strategy, trials):
        monkeypatch.chdir(_place(tmp_path, "a", code))
        study = population(postgres.server().database(), strategy, budget=tt.Budget(trials=trials))
        study.submit("train.py:train")
        return study

    return submit


def _place(tmp_path, folder, code):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "train.py").write_text(code)
    return tmp_path / folder


def _work(study, *folders, trials=40):
    """One worker in each of the folders, until they have nothing to do or have ended so many trials."""
    call = [sys.executable, "-m", "trimtab", "worker", "--storage", study.storage.url, "--allow", "train.py"]
    team = [subprocess.Popen([*call, f"--trials={trials}", "--idle=1s"], cwd=folder) for folder in folders]
    assert [worker.wait(100) for worker in team] == [0] * len(folders)


KILLED = """
    import os, signal
    from pathlib import Path

    trained = train

    def train(trial):
        loss = trained(trial)
        if trial.number in (5, 9, 14) and not (mark := Path(f"killed {trial.number}")).exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return loss
    """


def test_two_workers_train_a_population_on_postgresql(tmp_path, submitted):
    study = submitted(TEXT + textwrap.dedent(KILLED), PBT(6, 4), 60)
    _work(study, tmp_path / "a", tmp_path / "a", trials=12)
    assert study.counts["done"] == len(study.trials) == 24
    assert {path.name for path in (tmp_path / "a").glob("killed *")} == {"killed 5", "killed 9", "killed 14"}
    assert all(study.trials[n].attempt > 1 for n in (5, 9, 14))
    assert held(study) == {study.best.number}
    assert study.replay().exact == 24
    assert study.verify() == []
    assert study.schedule().train(train) == study.best.metrics


def test_who_does_not_see_the_parents_checkpoint_says_so_and_trains_nothing(tmp_path, submitted):
    code = TEXT
    study = submitted(code, PBT(4, 3), 8)
    _work(study, tmp_path / "a", trials=4)
    _work(study, _place(tmp_path, "b", code))
    assert [str(t.state) for t in study.trials] == ["done"] * 4 + ["failed"] * 4
    said = (
        "there is no checkpoint of trial {} in {}, from which this one goes on; let TRIMTAB_CHECKPOINTS name a folder"
    )
    root = tmp_path / "b" / "trimtab-checkpoints" / study.checkpoint(0).parent.name
    assert all(t.error.startswith(said.format(t.parent, root)) for t in study.trials[4:])
