"""Every proposal follows from the record, whoever ran the study and whatever was killed or revised on the way."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import replace
from random import Random

import psutil
import pytest
from click.testing import CliRunner

import trimtab as tt
from trimtab.cli import cli
from trimtab.errors import SpecError, StorageError
from trimtab.records import TOLD, Change, Purpose, State, Trial
from trimtab.replay import SHORTFALL, Past, Replay, replay
from trimtab.strategies import strategy

SCRIPT = """
    import sys
    import trimtab as tt

    space = tt.Space(x=tt.Float(-1, 1, default=0.5), y=tt.Float(0, 1, default=0.5), k=tt.Choice("a", "b", default="a"))
    study = tt.Study("s", space, minimize="loss", seed=3, storage=sys.argv[1], strategy="gp", budget={"trials": 200})
    study.run(lambda t: t.params["x"] ** 2 + t.params["y"] + (t.params["k"] == "b"), workers=2, quiet=True)
    """


def done(url):
    try:
        return tt.Study("s", storage=url).counts["done"]
    except tt.TrimtabError:
        return 0


def kill_a_worker(parents):
    """kill -9 of the youngest worker process of one of them."""
    children = [c for p in parents if p.poll() is None for c in psutil.Process(p.pid).children(recursive=True)]
    if children:
        with suppress(psutil.NoSuchProcess):  # it may have just ended
            children[-1].send_signal(signal.SIGKILL)


def test_200_trials_of_four_workers_with_kills_are_derived_again(tmp_path, url):
    path = tmp_path / "study.py"
    path.write_text(textwrap.dedent(SCRIPT))
    start = [sys.executable, str(path), url]
    parents = [subprocess.Popen(start) for _ in range(2)]
    seen = 0
    while any(p.poll() is None for p in parents):
        if (now := done(url)) >= seen + 40:
            seen = now
            kill_a_worker(parents)
            if seen == now and 80 <= now < 120 and parents[0].poll() is None:
                parents[0].kill()  # a whole runner too, and another one takes its place
                parents[0].wait()
                parents[0] = subprocess.Popen(start)
        time.sleep(0.2)
    study = tt.Study("s", storage=url)
    assert study.counts["done"] == 200
    found = study.replay()
    assert (found.proposals, found.exact, found.different) == (200, 200, {}), found.text()
    assert found.machines == (found.here,)
    last = study.storage.events(study.record.id)[-1]
    assert (last.kind, last.body["replay"]["exact"]) == ("replay", 200)
    assert study.verify() == []


def test_replay_follows_revisions_of_budget_space_and_strategy(space, objective):
    study = tt.Study("s", space, minimize="loss", seed=5, budget={"trials": 12}, strategy="gp")
    study.run(objective, quiet=True)
    study.revise(budget={"trials": 24})
    study.run(objective, trials=18, quiet=True)
    wider = tt.Space(
        {**space.params, "rate": tt.Float(1e-5, 1.0, log=True, default=0.1), "bag": tt.Int(1, 5, default=1)}
    )
    study.revise(space=wider.require("depth <= 10 or rate < 0.5"), assume={"bag": 1})
    study.run(objective, trials=22, quiet=True)
    study.revise(strategy="tpe")
    study.run(objective, trials=24, quiet=True)
    found = study.replay()
    assert (found.proposals, found.exact) == (24, 24), found.text()
    assert {t.strategy for t in study.trials} == {"baseline", "gp", "tpe"}


def test_wishes_imports_and_evidence_are_no_proposals(space, objective):
    study = tt.Study("s", space, minimize="loss", seed=5)
    study.enqueue({"kind": "linear", "rate": 0.5})
    study.add({"kind": "linear", "rate": 0.25}, 0.3)
    study.run(objective, trials=6, quiet=True)
    study.evidence(objective, replicates=3, quiet=True)
    found = study.replay()
    assert found.proposals == sum(t.strategy in ("baseline", "auto") for t in study.trials)
    assert found.holds


def rows(space, objective, **how):
    study = tt.Study("s", space, minimize="loss", seed=5, **how)
    study.run(objective, trials=20, quiet=True)
    return study.trials, study.storage.events(study.record.id)


def plain(spec):
    return strategy(spec.strategy, **spec.settings)


def test_a_proposal_that_does_not_follow_is_named(space, objective):
    trials, events = rows(space, objective)
    forged = [replace(t, params={"kind": "linear", "rate": 0.123}) if t.number == 15 else t for t in trials]
    found = replay(forged, events, plain, here="a", machines=["a"])
    assert 15 in found.different
    assert found.different[15].startswith("recorded {'kind': 'linear', 'rate': 0.123}, derived again ")
    reseeded = [replace(t, seed=1) if t.number == 4 else t for t in trials]
    assert "recorded seed 1" in replay(reseeded, events, plain).text()


def test_what_another_version_of_a_strategy_proposed_is_not_judged(space, objective):
    trials, events = rows(space, objective)
    older = [replace(t, version="0.9") if 3 <= t.number < 7 else t for t in trials]
    found = replay(older, events, plain)
    assert (found.other_versions.keys(), found.exact, found.wrong, found.holds) == ({3, 4, 5, 6}, 16, 0, False)
    said = f"not judged: 4 proposals of auto version 0.9, which is version {trials[7].version} here; replay with"
    assert found.text() == f"16 of 20 proposals derived again exactly, 4 not judged\n{said} the version that made them"
    assert replace(found, programs=("0.0.7", "0.0.8")).text().endswith(f"{said} Trimtab 0.0.7 or 0.0.8")


def test_a_replay_names_the_versions_of_trimtab_that_ran_the_study(space, objective):
    study = tt.Study("s", space, minimize="loss", seed=5)
    study.run(objective, trials=1, quiet=True)
    (ran,) = study.storage.events(study.record.id, kinds={"run"})
    assert ran.body["environment"]["packages"]["trimtab"] == tt.__version__
    environment = {**ran.body["environment"], "packages": {"trimtab": "0.0.7"}}
    study.storage.revise(study.record.id, Change("run", body={**ran.body, "environment": environment}))
    assert study.replay().programs == ("0.0.7",)


def test_a_document_says_what_a_replay_could_not_judge(space, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = tt.Study("s", space, minimize="loss", seed=5)
    found = Replay(10, 8, other_versions={4: "gp version 1, which is version 2 here"}, verdicts=3, other_rules={2: "x"})
    study.storage.revise(study.record.id, Change("replay", body={"replay": found.to_json()}))
    items = {i["id"]: i for i in json.loads(study.report("r.json").read_text())["items"]}
    said = "\n".join(f["text"] for name in ("seeds", "limits") for f in items[name]["facts"])
    assert "derived again exactly, 0 differ, 1 not judged (by other versions of their strategies)" in said
    assert "2 of 3 derived again, 0 differ, 1 not judged (by other versions)" in said
    assert "the last replay could not judge 2 decisions of the search, which other versions of strategies or" in said


def test_on_another_machine_a_proposal_counts_when_the_strategy_finds_it_as_good(space, objective):
    """A point that is moved a little has nearly the best acquisition value; another point has not."""
    trials, events = rows(space, objective)
    last = trials[-1]
    near = {**last.params, "rate": last.params["rate"] * (1 - 1e-7)}
    moved = [*trials[:-1], replace(last, params=near)]
    assert replay(moved, events, plain, here="a", machines=["b"]).close == (19,)
    assert replay(moved, events, plain, here="a", machines=["a"]).different.keys() == {19}
    other = [*trials[:-2], replace(trials[-2], seed=1), replace(last, params=near, parent=3)]  # no arithmetic does that
    assert replay(other, events, plain, here="a", machines=["b"]).different.keys() == {18, 19}
    far = [*trials[:-1], replace(last, params={"kind": "tree", "rate": 0.4, "depth": 12})]
    assert replay(far, events, plain, here="a", machines=["b"]).different.keys() == {19}


WRONG = Replay(10, 8, (3,), {4: "x"}, verdicts=5, overturned={2: "y"}, looks=2, misjudged={9: "z"})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (replace(WRONG, close=(), different={}, overturned={}, misjudged={}), [[8, 10, 0], [5, 5, 0], [2, 2, 0]]),
        (WRONG, [[8, 10, 1], [4, 5, 1], [1, 2, 1]]),
        (Replay(10, 10), [[10, 10, 0]]),
    ],
)
def test_a_document_says_whatever_a_replay_found_wrong(space, tmp_path, monkeypatch, found, said):
    monkeypatch.chdir(tmp_path)
    study = tt.Study("s", space, minimize="loss", seed=5)
    study.storage.revise(study.record.id, Change("replay", body={"replay": found.to_json()}))
    items = {i["id"]: i for i in json.loads(study.report("r.json").read_text())["items"]}
    facts = [f for f in items["seeds"]["facts"] if f["label"].startswith("Replay")]
    assert [f["value"] for f in facts] == said
    assert sum(wrong for _, _, wrong in said) == found.wrong
    assert (found.wrong == 0) == found.holds
    close = f"1 more within {100 * SHORTFALL:g} % of the best acquisition"
    assert (close in facts[0]["text"]) == bool(found.close)


def test_the_text_says_whatever_was_found_and_only_that():
    assert WRONG.text().splitlines() == [
        "8 of 10 proposals derived again exactly, 1 more within 1% of the best acquisition "
        "(another numpy, BLAS or processor), 1 differ",
        "4 of 5 stops derived again exactly, 1 differ",
        "1 of 2 ends of the search derived again",
        "trial 4: x",
        "event 9: z",
        "trial 2: y",
    ]
    right = ["10 of 10 proposals derived again exactly", "5 of 5 stops derived again exactly"]
    assert Replay(10, 10, verdicts=5).text().splitlines() == right


def test_a_baseline_that_ends_late_is_unknown_until_then():
    """Until then, a limit that refers to it is unknown too: a proposal takes no account of it."""
    study = tt.Study(
        "s", tt.Space(x=tt.Float(0, 1, default=0.5), y=tt.Float(0, 1, default=0.5)), minimize="loss", seed=1, strategy="gp",
        subject_to="size <= 0.8 * baseline",
    )  # fmt: skip

    def measured(trial):
        return {"loss": trial.params["y"] - trial.params["x"], "size": trial.params["x"]}

    first, *others = (study.ask() for _ in range(12))
    for trial in others:
        study.tell(trial, measured(trial))
    before = study.ask()
    study.tell(first, measured(first))
    after = study.ask()
    assert before.params["x"] > 0.8  # it would be the best by far
    assert after.params["x"] < 0.6
    events = list(study.storage.events(study.record.id))
    assert replay(study.trials, events, plain).exact == replay(study.trials, events, plain).proposals > 12


def test_the_command_line_counts_whatever_does_not_follow(space, tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/s.db"
    tt.Study("s", space, minimize="loss", storage=url).storage.close()
    monkeypatch.setattr(tt.Study, "replay", lambda _: replace(WRONG, different={}))
    result = CliRunner().invoke(cli, ["replay", "s", "--storage", url])
    assert result.exit_code == 1
    assert "2 decisions on record cannot be derived again" in result.stderr
    monkeypatch.setattr(tt.Study, "replay", lambda _: Replay(10, 8, other_versions={4: "x"}))
    result = CliRunner().invoke(cli, ["replay", "s", "--storage", url])
    assert (result.exit_code, result.stderr) == (1, "trimtab: study 's': 1 decision could not be judged here\n")


def test_a_strategy_object_that_is_not_known_here_is_a_difference_not_a_crash(space, objective):
    trials, events = rows(space, objective, strategy="random")
    renamed = [
        replace(e, body={"spec": {**e.body["spec"], "strategy": "mine"}}) if e.kind == "create" else e for e in events
    ]
    found = replay(trials, renamed, plain)
    assert len(found.different) == 20
    assert "strategy='mine' is not known" in found.text()


# ------------------------------------------------------------------------------------------------------------ reproduce


def noisy(trial):
    return {"loss": abs(trial.params["rate"] - 0.01) + trial.seed % 7}


def test_trials_run_again_give_identical_metrics(space, url):
    study = tt.Study("s", space, minimize="loss", seed=5, storage=url)
    study.run(noisy, trials=9, quiet=True)
    before = study.trials
    found = study.reproduce(noisy, workers=2)
    assert (len(found.runs), found.holds, found.same_code, found.independent) == (5, True, True, False)
    assert 0 in [r.number for r in found.runs]
    assert study.best.number in [r.number for r in found.runs]
    assert study.trials == before
    assert study.reproduce(noisy, [3], principal="validator").independent is True
    assert [r.number for r in study.reproduce(noisy, [3, 2, 3]).runs] == [3, 2]
    event = study.storage.events(study.record.id)[-1]
    assert (event.kind, "validator" in json.dumps(dict(event.body))) == ("reproduce", False)
    assert study.verify() == []


def test_where_results_are_noisy_the_best_is_run_again_and_not_the_luckiest():
    def by_luck(trial):
        return (trial.params["x"] - 0.5) ** 2 + Random(trial.seed).gauss(0, 0.15)

    study = tt.Study("s", tt.Space(x=tt.Float(0, 1), y=tt.Float(0, 1)), minimize="loss", seed=1, strategy="sobol")
    study.run(by_luck, trials=30, quiet=True)
    luckiest = min(study.trials, key=lambda t: t.metrics["loss"])
    assert study.best.number != luckiest.number
    assert study.best.number in [r.number for r in study.reproduce(by_luck).runs]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_even_if_the_objective_catches_it(space, number):
    ran = []

    def catches(trial):
        ran.append(trial.number)
        with suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        return noisy(trial)

    study = tt.Study("s", space, minimize="loss", seed=5)
    study.run(noisy, trials=4, quiet=True)
    before = study.record.position
    with pytest.raises(KeyboardInterrupt):
        study.reproduce(catches, [1, 2, 3])
    assert ran == [1]
    assert study.record.position == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_differs_is_told_with_both_numbers(space, url):
    study = tt.Study("s", space, minimize="loss", seed=5, storage=url)
    study.run(noisy, trials=4, quiet=True)
    recorded = study.trials[2].metrics["loss"]

    def drifted(trial):
        return noisy(trial)["loss"] * 1.001

    found = study.reproduce(drifted, [2])
    assert not found.holds
    assert not found.same_code
    assert f"trial 2: loss was {recorded:.12g}, is" in found.text()
    assert "(a relative difference of 0.001)" in found.text()
    assert study.reproduce(drifted, [2], tolerance=0.01).holds
    barely = study.reproduce(lambda trial: noisy(trial)["loss"] * (1 + 1e-14), [2])
    assert "(a relative difference of 9.9e-15)" in barely.text()

    def broken(trial):
        raise ValueError("no data")

    assert "it gave no result: ValueError: no data" in study.reproduce(broken, [2]).text()


def test_a_reader_learns_which_trials_differed_and_that_nobody_else_ran_them(space, tmp_path):
    study = tt.Study("s", space, minimize="loss", seed=5)
    study.run(noisy, trials=4, quiet=True)

    def documented():
        items = {i["id"]: i for i in json.loads(study.report(tmp_path / "r.json").read_text())["items"]}
        return items["reproduction"]["status"], [f["text"] for f in items["limits"]["facts"]]

    study.reproduce(noisy, [0, 1])
    status, limits = documented()
    assert status == "partial"  # by the person who ran the study
    assert not any("run again" in text for text in limits)

    study.reproduce(lambda trial: noisy(trial)["loss"] + (trial.number in (1, 2)), [1, 2], principal="validator")
    study.reproduce(noisy, [2], principal="validator")
    status, limits = documented()
    assert status == "filled"
    assert "Not reproduced: run again, trial 1 gave other results than the record holds." in limits


def test_a_reader_learns_that_proposals_do_not_follow_from_the_record(space, tmp_path):
    study = tt.Study("s", space, minimize="loss", seed=5)
    study.run(noisy, trials=4, quiet=True)
    found = study.replay().to_json()
    study.storage.revise(study.record.id, Change("replay", body={"replay": {**found, "different": {"3": "x is 0.2"}}}))
    study.report(tmp_path / "r.json")
    items = {i["id"]: i for i in json.loads((tmp_path / "r.json").read_text())["items"]}
    said = "Not replayed: 1 decision of the search did not come out again from the record."
    assert said in [f["text"] for f in items["limits"]["facts"]]


def test_a_best_from_elsewhere_is_said_to_be_left_out(space):
    study = tt.Study("s", space, minimize="loss", seed=5)
    study.run(noisy, trials=6, quiet=True)
    assert study.reproduce(noisy).left_out == ""
    study.add({"kind": "linear", "rate": 0.01}, -1.0)
    found = study.reproduce(noisy)
    assert study.best.number == 6
    assert "note: the best, trial 6, was not run again: it was added from elsewhere" in found.text()
    assert study.storage.events(study.record.id)[-1].body["reproduction"]["left_out"] == found.left_out
    assert study.reproduce(noisy, [0]).left_out == ""  # who names trials knows which


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"trials": [77]}, "trial 77 does not exist; the study has"),
        ({"trials": [1]}, "trial 1 cannot be run again: it is failed; name one that is done"),
        ({"trials": [0, 2]}, "trial 2 cannot be run again: it was added from elsewhere; enqueue its params"),
        ({"tolerance": -1}, "tolerance=-1 must be a number of at least 0"),
    ],
)
def test_what_cannot_be_run_again_is_said(space, how, says):
    study = tt.Study("s", space, minimize="loss", seed=5)
    study.run(noisy, trials=1, quiet=True)
    study.tell(study.ask(), failed="no luck")
    study.add({"kind": "linear", "rate": 0.1}, 1.0)
    with pytest.raises(SpecError, match=says):
        study.reproduce(noisy, **how)


@pytest.mark.parametrize(("done", "trials"), [(0, None), (1, [])])
def test_nothing_run_again_reproduces_nothing(space, done, trials):
    study = tt.Study("s", space, minimize="loss", seed=5)
    if done:
        study.run(noisy, trials=done, quiet=True)
    study.add({"kind": "linear", "rate": 0.1}, 1.0)
    with pytest.raises(SpecError, match="nothing to run again"):
        study.reproduce(noisy, trials)
    assert not any(e.kind == "reproduce" for e in study.storage.events(study.record.id))


def test_an_archived_study_is_replayed_and_stays_as_it_is(space, objective, url):
    study = tt.Study("s", space, minimize="loss", seed=5, storage=url)
    study.run(objective, trials=4, quiet=True)
    study.archive()
    head = study.record.head
    assert study.replay().holds
    assert study.record.head == head


FILE = """
study: s
objective: model.py:loss
space: {x: {float: [0, 1], default: 0.5}}
minimize: loss
budget: {trials: 6}
seed: 1
"""


def test_the_command_line_replays_and_reproduces(tmp_path):
    (tmp_path / "model.py").write_text("def loss(trial):\n    return trial.params['x'] ** 2\n")
    (tmp_path / "study.yaml").write_text(FILE)

    def call(*args):
        environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
        command = [sys.executable, "-m", "trimtab", *args]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert call("run", "study.yaml", "--quiet").returncode == 0
    said = call("replay", "s")
    assert (said.returncode, said.stdout) == (0, "6 of 6 proposals derived again exactly\n"), said.stderr
    said = call("reproduce", "s", "--trial", "2", "--as", "validator", "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["runs"][0]["number"] == 2
    (tmp_path / "model.py").write_text("def loss(trial):\n    return trial.params['x'] ** 2 + 1\n")
    said = call("reproduce", "s")
    assert said.returncode == 1
    assert "0 of 5 trials run again gave identical metrics\nnote: the objective's code is not" in said.stdout


def test_what_was_chosen_by_hand_or_measured_elsewhere_is_counted():
    study = tt.Study("hand", tt.Space(x=tt.Float(0, 1, default=0.5)), minimize="loss", seed=1)
    study.run(lambda t: t.params["x"], trials=3, quiet=True)
    assert "beside" not in study.replay().text()
    study.enqueue({"x": 0.2})
    study.add([{"x": 0.1}, {"x": 0.3}], [0.1, 0.3])
    study.run(lambda t: t.params["x"], trials=5, quiet=True)
    found = study.replay()
    assert (found.proposals, found.exact, found.by_hand, found.imported) == (4, 4, 1, 2)
    assert "beside them: 1 trial chosen by hand, 2 results from elsewhere, which cannot be derived" in found.text()
    assert (found.to_json()["by_hand"], found.to_json()["imported"]) == (1, 2)


def test_who_may_only_read_has_the_outcome_all_the_same(monkeypatch, capsys, tmp_path):
    def objective(trial):
        return trial.params["x"]

    study = tt.Study("read", tt.Space(x=tt.Float(0, 1, default=0.5)), minimize="loss", seed=1)
    study.run(objective, trials=3, quiet=True)
    position = study.record.position

    def refuse(*_):
        raise StorageError("this user lacks the right")

    monkeypatch.setattr(study.storage, "revise", refuse)
    assert study.replay().holds
    assert study.reproduce(objective).holds
    assert study.report(tmp_path / "read.json").exists()
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"read: this {what} is not on record: this user lacks the right" for what in ("replay", "reproduce", "report")
    ]
    assert study.record.position == position
    with pytest.raises(StorageError):
        study.note(0, "a note")


@pytest.mark.parametrize("seed", range(5))
def test_what_had_ended_and_what_was_open_is_known_of_every_moment(seed):
    """Also of moments in an order that no study could have had: a record may be anything."""
    rng = Random(seed)
    told = rng.sample(range(1, 200), 60)
    trials = [
        Trial(
            1, n, rng.choice([State.DONE, State.CANCELLED]), rng.choice([*Purpose]), {"x": 0.5}, n,
            told=rng.choice([told[n], None]),
        )
        for n in range(60)
    ]  # fmt: skip
    past = Past(trials)
    moments = sorted({(rng.randrange(61), rng.randrange(220)) for _ in range(40)})
    looked = [t for t in trials if t.purpose in TOLD]
    ended = [t for t in looked if t.told is not None]
    for (at, seen), pending in zip(moments, past.pending(moments), strict=True):
        gone = [t for t in ended if t.told <= seen]
        assert pending == [t for t in looked if t.number < at and t not in gone]
        known = sorted((t for t in gone if t.state is not State.CANCELLED), key=lambda t: t.told)
        assert past.told[: past.known(seen)] == known
