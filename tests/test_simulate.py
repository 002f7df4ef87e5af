"""Simulated studies: time is what the trainings say, decisions are those of a real study, and every run is alike."""

import pytest

import trimtab as tt
from trimtab.errors import RunFailed, SpecError
from trimtab.simulate import Simulation
from trimtab.strategies.random import Random

SPACE = tt.Space(x=tt.Float(0, 1, default=0.9))
EPOCHS = tt.Fidelity("epochs", 1, 27)


def training(trial):
    x = trial.params["x"]
    for epoch in range(1, int(trial.fidelity or 27) + 1):
        yield 60.0 + 60.0 * x, epoch, {"loss": (x - 0.3) ** 2 + 1 / epoch}


def simulated(workers, *, strategy="random", train=training, **how):
    sim = Simulation()
    study = tt.Study("s", SPACE, minimize="loss", fidelity=EPOCHS, strategy=strategy, storage=sim.storage, seed=1)
    sim.run(study, train, workers=workers, **how)
    return sim, study


def told(study):
    return [(t.params["x"], t.state, t.reached, t.started, t.ended, t.cost.wall, t.seen) for t in study.trials]


def test_a_week_on_64_workers_passes_in_no_time_and_always_alike():
    sim, study = simulated(64, time="7d", trials=200)
    again = simulated(64, time="7d", trials=200)[1]
    assert told(study) == told(again)
    assert sim.clock.now() <= 7 * 86400
    assert study.counts["done"] + study.counts["stopped"] == 200
    assert study.verify() == []
    assert study.replay().holds


@pytest.mark.parametrize("before", [(), (60.0,)])
@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), None])
def test_a_step_of_a_time_that_cannot_pass_fails_its_trial(seconds, before):
    def wrong(trial):
        for epoch, took in enumerate([*before, seconds], start=1):
            yield took, epoch, {"loss": 1.0}

    sim = Simulation()
    study = tt.Study("s", SPACE, minimize="loss", strategy="random", storage=sim.storage, seed=1, max_failures=2)
    with pytest.raises(RunFailed, match=f"seconds={seconds} must be a number of at least 0"):
        sim.run(study, wrong, trials=4)
    ran = [(t.state, t.cost.wall) for t in study.trials if t.started is not None]
    assert set(ran) == {("failed", sum(before))}
    assert sim.clock.now() == len(ran) * sum(before)


def test_time_is_what_the_trainings_took_on_that_many_workers():
    sim, study = simulated(2, trials=9)
    events = sorted([(t.started, 1) for t in study.trials] + [(t.ended, -1) for t in study.trials])
    busy = 0
    for _, change in events:
        busy += change
        assert busy <= 2
    assert sim.clock.now() == max(t.ended for t in study.trials)
    for t in study.trials:
        assert t.cost.wall == pytest.approx((60 + 60 * t.params["x"]) * t.reached)
        assert t.ended - t.started == pytest.approx(t.cost.wall)


def test_when_the_time_is_up_what_runs_goes_back_to_the_queue():
    sim, study = simulated(4, time="1h")
    assert sim.clock.now() == 3600.0
    assert all(t.ended <= 3600 for t in study.trials if t.ended)
    assert study.counts["queued"] == 4
    sim.run(study, training, workers=4, time="1h")
    assert sim.clock.now() == 7200.0


def test_what_runs_when_a_study_is_cancelled_goes_on_past_the_time_as_it_would_in_real_life():
    sim = Simulation()
    study = tt.Study("s", SPACE, minimize="loss", fidelity=EPOCHS, stopping=None, storage=sim.storage, seed=1)

    def slow(trial):
        for epoch in range(1, 28):
            yield 60.0, epoch, {"loss": 1 / epoch}
        study.cancel()

    sim.run(study, lambda t: slow(t) if t.number == 0 else training(t), workers=3, time=27.5 * 60)
    assert study.counts["running"] == study.counts["queued"] == 0
    assert sim.clock.now() > 27.5 * 60


def test_trainings_that_raise_or_report_nonsense_are_failed_trials():
    def broken(trial):
        yield 1.0, 1, {"loss": 1.0 if trial.number % 2 else float("nan")}
        raise RuntimeError("out of luck")

    with pytest.raises(RunFailed, match="trials failed in a row"):
        simulated(3, trials=30, train=broken)


def test_a_simulation_runs_its_own_studies_only():
    with pytest.raises(SpecError, match=r"storage=simulation\.storage"):
        Simulation().run(tt.Study("s", SPACE, minimize="loss"), training, trials=3)
    sim = Simulation()
    study = tt.Study("s", SPACE, minimize="loss", storage=sim.storage)
    with pytest.raises(SpecError, match="nothing says when to stop"):
        sim.run(study, training)
    with pytest.raises(SpecError, match="workers=0 must be a whole number of at least 1"):
        sim.run(study, training, trials=3, workers=0)


def test_a_strategy_of_one_s_own_is_simulated():
    class Mine(Random):
        pass

    _, study = simulated(2, strategy=Mine(name="mine"), trials=4)
    assert {t.strategy for t in study.trials if t.number > 0} == {"mine"}


def test_the_model_searches_in_simulated_time_too():
    _, study = simulated(4, strategy="auto", trials=20)
    assert study.best.metrics["loss"] < 0.01 + 1 / 27
    assert study.replay().holds
