"""Money and energy: what trials cost by a list of prices, and budgets that stop what runs when they are reached."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trimtab as tt
from trimtab.engine.ledger import Ledger
from trimtab.engine.planning import Close, Here, Terms, accrued, plan, spent
from trimtab.errors import SpecError
from trimtab.objective import Command
from trimtab.records import Cost, Resources, State, StudySpec
from trimtab.running.worker import Worker
from trimtab.storage import open_storage
from trimtab.studyfile import read

SPACE = tt.Space(x=tt.Float(0, 1, default=0.5))
LIST = {"cpu_hour": 0.05, "gpu_hour": 2.0, "kwh": 0.3}
WATTS = {"cpu": 10.0, "gpu": 300.0}
amounts = st.floats(0, 1e6)


@given(amounts, amounts, amounts, amounts, st.floats(0, 1) | st.integers(0, 8))
def test_what_two_halves_cost_is_what_the_whole_costs(wall, cpu, more, much, gpus):
    priced = Resources(gpus=gpus, price=0.1, prices=LIST, watts=WATTS)
    both, whole = priced.charge(wall, cpu).plus(priced.charge(more, much)), priced.charge(wall + more, cpu + much)
    for name in ("wall", "cpu", "gpu", "money", "energy"):
        assert getattr(both, name) == pytest.approx(getattr(whole, name))


def test_a_list_of_prices():
    hour = Resources(gpus=2, price=1.0, prices=LIST, watts=WATTS).charge(wall=3600, cpu=4 * 3600, memory=7)
    assert hour == Cost(3600, 4 * 3600, 2 * 3600, 7, pytest.approx(1 + 0.2 + 4 + 0.64 * 0.3), pytest.approx(0.64))


def test_records_of_before_there_was_energy_keep_their_text():
    assert "energy" not in Cost(1, 2, 3, 4, 5).to_json()
    assert Cost(**Cost(energy=2.0).to_json()) == Cost(energy=2.0)
    assert list(tt.Budget(trials=3).to_json()) == ["trials", "time", "cpu_hours", "gpu_hours", "cost"]
    spec = StudySpec("s", SPACE, (), budget=tt.Budget(kwh=2.5))
    assert StudySpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"prices": 3}, "resources prices=3 must be a mapping"),
        ({"prices": {"cpu_hours": 1}}, "resources prices: 'cpu_hours' is not known; did you mean 'cpu_hour'"),
        ({"prices": {"kwh": -1}}, "resources prices: kwh=-1 must be a number of at least 0"),
        ({"watts": {"gpu": "many"}}, "resources watts: gpu='many' must be a number"),
        ({"custom": ["tpu"]}, r"resources custom=\['tpu'\] must be a mapping such as \{'tpu': 1\}"),
    ],
)
def test_a_list_of_prices_that_is_wrong_is_refused(wrong, said):
    with pytest.raises(SpecError, match=said):
        Resources(**wrong)


@pytest.mark.parametrize(
    ("budget", "resources", "said"),
    [
        ({"cost": 1.0}, {}, "a budget of cost needs a price"),
        ({"kwh": 1.0}, {"prices": LIST}, "a budget of kwh needs watts"),
        ({"trials": 1}, {"prices": LIST}, "a price of kwh needs watts"),
    ],
)
def test_a_budget_that_nothing_would_use_up_is_refused(budget, resources, said):
    study = tt.Study("s", SPACE, minimize="loss", budget=budget)
    with pytest.raises(SpecError, match=said):
        study.run(lambda trial: 1.0, resources=Resources(**resources), quiet=True)
    assert study.trials == []


@pytest.mark.parametrize(
    ("budget", "resources"),
    [
        ({"cost": 1.0}, {"price": 3600.0}),
        ({"cost": 1.0}, {"gpus": 0.5, "prices": {"gpu_hour": 7200.0}}),
        ({"kwh": 1.0}, {"gpus": 1, "watts": {"gpu": 3.6e6}}),
        ({"kwh": 1.0}, {"watts": {"cpu": 3.6e6}}),
        ({"cpu_hours": 1 / 3600}, {}),
    ],
)
def test_what_runs_counts(budget, resources):
    """Each budget lasts for one second of one trial that uses one CPU."""
    study = tt.Study("s", SPACE, minimize="loss", budget=budget, strategy="random")
    trial = study.ask(lease=3600)
    ledger = Ledger(study.record)
    ledger.absorb(study.storage.trials(study.record.id))
    began, charge = ledger.trials[trial.number].started, Resources(**resources).charge
    here, soon, late = Here(1, charge=charge), began + 0.9, began + 1.1
    assert spent(ledger, soon, accrued(ledger, soon, here)) is None
    assert spent(ledger, late, accrued(ledger, late, here)) == next(iter(budget))
    assert spent(ledger, late) is None
    assert Close("budget") in plan(ledger, late, Terms(), here)
    waited = {trial.number: 0.2}  # for room in a cluster
    assert Close("budget") not in plan(ledger, late, Terms(), replace(here, waited=waited))


def hangs(trial):
    time.sleep(300)


def test_running_trials_are_stopped_when_the_budget_is_reached_and_charged(url):
    study = tt.Study("s", SPACE, minimize="loss", budget={"cost": 3.0}, strategy="random", storage=url)
    study.run(hangs, workers=2, resources=Resources(price=3600.0), quiet=True)
    assert {t.state for t in study.trials} == {State.CANCELLED}
    assert study.record.spent.money == pytest.approx(sum(t.cost.money for t in study.trials))
    assert study.record.spent.money > 0
    assert study.verify() == []


def test_a_worker_does_not_begin_again_on_what_was_estimated_too_high(url):
    study = tt.Study("s", SPACE, minimize="loss", budget={"cpu_hours": 1 / 3600}, strategy="random", storage=url)
    study.submit(Command("sleep 300"))
    said, store = [], open_storage(url)
    Worker(store, ["sleep 300"], say=said.append).run(idle=1.0)
    store.close()
    assert "study 's': nothing to do (budget)" in said
    assert [t.state for t in study.trials] == [State.CANCELLED]


def test_a_study_file_has_prices(tmp_path):
    file = tmp_path / "s.yaml"
    text = """
study: s
command: echo loss={x}
space: {x: {float: [0, 1]}}
minimize: loss
budget: {kwh: 2.5}
resources: {watts: {cpu: 10}, prices: {kwh: 0.3}}
"""
    file.write_text(text)
    assert read(file).resources == Resources(watts={"cpu": 10}, prices={"kwh": 0.3})
    assert read(file).study["budget"] == tt.Budget(kwh=2.5)
    file.write_text(text.replace("kwh: 0.3", "kWh: 0.3"))
    with pytest.raises(SpecError, match=r"resources.prices: 'kWh' is not known; did you mean 'kwh'"):
        read(file)


def test_a_study_says_which_limit_ended_it(capsys):
    study = tt.Study("paid", SPACE, minimize="loss", budget={"trials": 50, "cost": 0.0005}, strategy="random", seed=1)
    assert (study.spent, study.bound) == ({"trials": (0, 50), "cost": (0, 0.0005)}, None)
    study.run(lambda t: time.sleep(0.02) or t.params["x"], resources={"price": 20})
    assert study.spent["trials"][0] == study.counts["done"] < 50
    assert study.spent["cost"][0] == study.record.spent.money
    assert str(study.bound).startswith("the budget of cost ")
    err = capsys.readouterr().err
    assert f"paid: {study.bound}\n" in err
    assert "of 0.0005 of cost left" in err
