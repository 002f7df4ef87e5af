"""Whether more search is worth it: advice at any time, and an end of the search that is recorded and derived again."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.cli import cli
from trimtab.engine.incumbents import in_full
from trimtab.errors import SpecError
from trimtab.outlook import Enough, outlook
from trimtab.records import Change
from trimtab.running.worker import Worker

SPACE = tt.Space(x=tt.Float(0, 1), y=tt.Float(0, 1))


def noisy(noise):
    def objective(trial):
        bowl = (trial.params["x"] - 0.3) ** 2 + (trial.params["y"] - 0.6) ** 2
        return bowl + noise * np.random.default_rng(trial.seed).normal()

    return objective


def study(name="s", **how):
    return tt.Study(name, SPACE, minimize="loss", seed=1, **how)


def test_a_worker_that_asks_begins_no_more_trials_of_a_study_that_has_enough(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("def objective(trial):\n    return trial.params['x']\n")
    made = study(storage="sqlite:///t.db", strategy="random", budget=tt.Budget(trials=300))
    made.submit("train.py:objective")
    said = []
    Worker(made.storage, ["train.py"], say=said.append, enough=Enough(tolerance=10.0)).run(idle=0.5)
    assert "study 's': nothing to do (enough)" in said
    assert 20 <= made.counts["done"] < 60
    assert len(made.storage.events(made.record.id, kinds={"enough"})) == 1
    assert made.replay().looks == 1
    again = CliRunner().invoke(
        cli, ["worker", "--allow", "train.py", "--storage", "sqlite:///t.db", "--enough", "--help"]
    )
    assert "whose remaining gain is below its noise" in " ".join(again.output.split())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_noisy_search_ends_when_the_regret_is_within_the_noise_and_that_is_derived_again(tmp_path, workers):
    made = study(storage=f"sqlite:///{tmp_path}/t.db", strategy="sobol")
    made.run(noisy(0.1), trials=300, workers=workers, enough=True, quiet=True)
    assert 20 <= made.counts["done"] < 300
    (end,) = made.storage.events(made.record.id, kinds={"enough"})
    said = end.body["outlook"]
    assert said["reason"] == "noise"
    assert said["regret"] <= said["error"]
    assert 0.05 < said["error"] < 0.2
    assert made.outlook().to_json() == dict(said)
    assert made.outlook().text().startswith("stop: what is left")
    again = made.replay()
    assert again.holds
    assert again.looks == 1
    assert "1 of 1 ends of the search derived again" in again.text()
    assert made.verify() == []
    before = made.counts["done"]
    made.run(noisy(0.1), trials=300, workers=workers, enough=True, quiet=True)  # the same line again
    assert made.counts["done"] == before
    assert len(made.storage.events(made.record.id, kinds={"enough"})) == 1
    made.run(noisy(0.1), trials=before + 3, quiet=True)  # who wants more gets it
    assert made.counts["done"] == before + 3


def test_a_tolerance_ends_a_search_without_noise_and_says_so(capsys):
    made = study()
    made.run(noisy(0.0), trials=150, enough=Enough(tolerance=1e-2))
    assert made.counts["done"] < 60
    assert "s: stop: what is left to gain is below the noise or the tolerance" in capsys.readouterr().err


def test_a_gain_that_is_not_worth_its_cost_ends_a_search():
    made, dear = study(), tt.Resources(price=3600.0)
    plain = noisy(0.0)
    made.run(plain, trials=30, resources=dear, quiet=True)
    cheap, precious = made.outlook(Enough(worth=1e-9)), made.outlook(Enough(worth=1e9))
    assert (cheap.reason, precious.reason, cheap.unit) == ("cost", "", "money")
    assert cheap.text().startswith("stop: what is left to gain is not worth its cost")
    made.run(plain, trials=60, resources=dear, enough=Enough(worth=1e-9), quiet=True)
    assert made.counts["done"] == 30


def test_what_a_constraint_forbids_is_nothing_to_gain():
    """The loss falls to 0 at x = 0, but only from 0.5 on may settings be used."""
    made = study(subject_to=["size >= 0.5"])
    loss = noisy(0.0)

    def objective(trial):
        return {"loss": trial.params["x"] + 0.01 * loss(trial), "size": trial.params["x"]}

    made.run(objective, trials=30, quiet=True)
    found = made.outlook(Enough(tolerance=0.05))
    assert 0 < found.gain < found.regret < 0.05
    assert found.reason == "noise"


@pytest.mark.parametrize("rule", ["asha", "promotion"])
def test_settings_that_were_stopped_or_paused_are_not_taken_for_as_good_as_those_that_went_on(rule):
    """A model of full trainings alone would expect gains wherever trials were stopped, and never end a search."""
    made = study(fidelity=tt.Fidelity("epochs", 1, 9), stopping=rule)
    loss = noisy(0.05)

    def objective(trial):
        for epoch in range(1, int(trial.fidelity) + 1):
            now = loss(trial) + (1 + 0.2 * trial.params["x"]) * (1 / epoch - 1 / 9)
            trial.report(epoch, loss=now)
            if trial.should_stop():
                break
        return now

    made.run(objective, trials=150, quiet=True)
    told = sorted(made.trials, key=lambda t: t.told)
    alone, found = (outlook(made.spec, of, Enough()) for of in ([t for t in told if in_full(made.spec, t)], told))
    x, y = made.best.params["x"], made.best.params["y"]
    assert (x - 0.3) ** 2 + (y - 0.6) ** 2 < found.regret < alone.regret / 2
    assert found.gain < alone.gain / 2
    assert found.error == alone.error
    assert 0.02 < found.error < 0.1  # the noise of full trainings, not what early ones leave open
    made.run(objective, trials=300, enough=Enough(tolerance=found.regret), quiet=True)
    assert made.counts["done"] + made.counts["stopped"] < 300
    assert made.replay().looks == 1


def test_nothing_is_said_while_too_little_is_known():
    made = study()
    said = "too little is known of loss to say whether more would help; ask again after 20"
    assert made.outlook().text() == f"after 0 results {said}"
    made.run(noisy(0.0), trials=8, quiet=True)
    assert made.outlook().text() == f"after 8 results {said}"
    made.run(noisy(0.0), trials=12, enough=True, quiet=True)
    assert made.counts["done"] == 12
    assert made.outlook().text() == f"after 10 results {said}"
    assert made.outlook().reason == ""


def test_several_goals_and_wrong_settings_are_refused():
    made = tt.Study("two", SPACE, minimize=["a", "b"])
    for call in (made.outlook, lambda: made.run(noisy(0), trials=3, enough=True)):
        with pytest.raises(SpecError, match="of one goal, this study has several"):
            call()
    with pytest.raises(SpecError, match="enough='noise' is neither True nor an Enough"):
        study().run(noisy(0), trials=3, enough="noise")
    for wrong in ({"tolerance": -1}, {"worth": float("inf")}, {"least": 0}, {"every": None}):
        with pytest.raises(SpecError, match=f"enough: {next(iter(wrong))}="):
            Enough(**wrong)


@pytest.mark.parametrize(
    ("verb", "option"), [("outlook", "--worth"), ("outlook", "--tolerance"), ("reproduce", "--tolerance")]
)
def test_the_command_line_names_the_option_that_is_negative_or_no_number(verb, option):
    said = CliRunner().invoke(cli, [verb, "s", option, "-1"])
    assert said.exit_code == 2
    assert said.stderr.startswith(f"trimtab: Invalid value for '{option}': -1.0 is not in the range x>=0")
    said = CliRunner().invoke(cli, [verb, "s", option, "much"])
    assert said.stderr == f"trimtab: Invalid value for '{option}': 'much' is not a number.\n"


def test_an_end_that_does_not_follow_from_the_record_is_found():
    made = study()
    made.run(noisy(0.1), trials=150, enough=True, quiet=True)
    (end,) = made.storage.events(made.record.id, kinds={"enough"})
    forged = {**end.body, "outlook": {**end.body["outlook"], "reason": "cost"}}
    made.storage.revise(made.record.id, Change("enough", body={k: forged[k] for k in ("enough", "outlook", "version")}))
    again = made.replay()
    assert not again.holds
    assert again.looks == 2
    assert "recorded reason 'cost', derived again 'noise'" in again.text()
    assert json.dumps(again.to_json())


def test_an_end_by_an_earlier_version_of_the_outlook_is_said_to_be_one():
    made = study()
    made.run(noisy(0.1), trials=150, enough=True, quiet=True)
    (end,) = made.storage.events(made.record.id, kinds={"enough"})
    forged = {**end.body["outlook"], "gain": 1.0}
    for body in ({"outlook": forged}, {"outlook": end.body["outlook"]}):  # the first version wrote down no version
        made.storage.revise(made.record.id, Change("enough", body={"enough": end.body["enough"], **body}))
    again = made.replay()
    assert (again.looks, again.misjudged, again.holds) == (3, {}, False)
    (why,) = again.other_outlooks.values()  # what comes out again, does so by whichever version
    assert "2 of 3 ends of the search derived again" in again.text()
    assert f"not judged: 1 end of {why}; replay with the version that made them" in again.text()
    assert why == "the search by outlook version 1, which is version 3 here"


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), noise=st.sampled_from([0.0, 0.1]), n=st.integers(12, 40))
def test_the_outlook_is_a_function_of_the_results(seed, noise, n):
    made = tt.Study("s", SPACE, minimize="loss", seed=seed, strategy="random")
    made.run(noisy(noise), trials=n, quiet=True)
    told = sorted(made.trials, key=lambda t: t.told)
    first = outlook(made.spec, told, Enough(least=10))
    assert first == outlook(made.spec, told, Enough(least=10))
    assert first.regret >= 0
    assert first.error >= 0
    assert first.gain >= 0
    assert outlook(made.spec, told, Enough(least=10, tolerance=first.regret)).reason == "noise"


def test_the_command_line_advises(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = study(storage="sqlite:///trimtab.db")
    made.run(noisy(0.1), trials=30, quiet=True)
    shown = CliRunner().invoke(cli, ["outlook", "s"])
    assert shown.output.strip() == made.outlook().text()
    told = json.loads(CliRunner().invoke(cli, ["outlook", "s", "--json"]).output)
    assert told["results"] == 30
    wrong = CliRunner().invoke(cli, ["outlook", "s", "--worth", "-1"])
    assert wrong.exit_code == 2
