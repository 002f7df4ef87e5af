"""What is written as in another tuner is answered with how it is said here."""

import re

import numpy as np
import pytest
from scipy import stats

import trimtab as tt
from trimtab import other_tuners
from trimtab.errors import SpaceError, WrongCall

SPACE = tt.Space(x=tt.Float(0, 1, default=0.5))


@pytest.fixture
def study():
    return tt.Study("s", SPACE, minimize="loss", seed=1)


WORDS = {
    "study": (other_tuners.STUDY, "a Study has no", lambda study: study),
    "trial": (other_tuners.TRIAL, "a Trial has no", lambda study: study.enqueue({"x": 0.2})),
    "active trial": (other_tuners.ACTIVE_TRIAL, "a trial has no", lambda study: study.ask()),
    "package": (other_tuners.PACKAGE, "module 'trimtab' has no attribute", lambda study: tt),
}


@pytest.mark.parametrize("kind", WORDS)
def test_a_word_of_another_tuner_is_answered_with_ours(kind, study):
    words, known, made = WORDS[kind]
    subject = made(study)
    for word, said in words.items():
        with pytest.raises(AttributeError) as error:
            getattr(subject, word)
        assert str(error.value) == f"{known} {word!r}; {said}"


def test_what_we_say_exists(study):
    study.run(lambda trial: trial.params["x"], trials=1, quiet=True)
    known = {"tt": (tt,), "study": (study,), "trial": (study.best, study.ask())}
    for words, *_ in WORDS.values():
        for owner, name in re.findall(r"\b(tt|study|trial)\.(\w+)", " ".join(words.values())):
            assert any(hasattr(subject, name) for subject in known[owner]), f"{owner}.{name}"


def test_other_names_are_unknown_as_ever(study):
    for subject in (study, study.enqueue({"x": 0.2}), tt):
        with pytest.raises(AttributeError, match="has no attribute 'nothing_like_it'"):
            _ = subject.nothing_like_it


def test_an_error_in_a_property_stays_what_it_is():
    @other_tuners.answering({"old": "write new"})
    class Owner:
        @property
        def new(self):
            raise AttributeError("broken inside")

    with pytest.raises(AttributeError, match=r"^broken inside$"):
        _ = Owner().new
    with pytest.raises(AttributeError, match=r"^a Owner has no 'old'; write new$"):
        _ = Owner().old


def test_an_argument_without_a_counterpart_is_answered_with_what_is_done_instead(study):
    with pytest.raises(WrongCall, match=r"no argument 'callbacks'; log inside the objective, or write your own loop"):
        study.run(lambda trial: 1.0, trials=2, callbacks=[print])
    with pytest.raises(WrongCall, match=r"no argument 'cv'; did you mean 'folds'\?"):
        tt.CrossValidation(None, [[1]], [1], cv=5)


def test_a_trial_is_no_mapping(study):
    with pytest.raises(TypeError, match=r"a trial is no mapping; write trial.params\['x'\]"):
        study.ask()["x"]


def _class(module, name, **attributes):
    """A value of a class of another package, which need not be installed."""
    made = type(name, (), attributes)
    made.__module__ = module
    return made()


LOG = _class("ray.tune.search.sample", "_LogUniform")
VALUES = {
    "options": (["a", "b"], "write Choice('a', 'b')"),
    "many options": (list(range(100)), "write Choice(*options)"),
    "no options": ([], "write Choice(*options)"),
    "options of numpy": (np.array([0.1, 1.0, 10.0]), "write Choice(0.1, 1.0, 10.0)"),
    "two numbers": ((1, 9), "write Int(1, 9) for bounds, Choice(1, 9) for options"),
    "two real numbers": ((0, 0.5), "write Float(0, 0.5) for bounds, Choice(0, 0.5) for options"),
    "a range": (range(1, 10, 2), "write Int(1, 9, step=2)"),
    "an empty range": (range(0), "write a Float, Int or Choice, such as Float(0, 1)"),
    "a constant": (100, "a constant is no parameter; leave it to the objective"),
    "levels": ({"lr": tt.Float(0, 1)}, "a space has no levels: name each parameter"),
    "Ray's grid": ({"grid_search": ["a", "b"]}, "write Choice('a', 'b'), and strategy='grid' in the study"),
    "Optuna": (
        _class("optuna.distributions", "FloatDistribution", low=0.1, high=1, log=True),
        "write Float(0.1, 1.0, log=True)",
    ),
    "ConfigSpace": (
        _class("ConfigSpace", "UniformIntegerHyperparameter", lower=1, upper=9, log=False),
        "write Int(1, 9)",
    ),
    "Ray, upper bound excluded": (_class("ray.tune", "Integer", lower=1, upper=10, sampler=None), "write Int(1, 9)"),
    "Ray, log": (_class("ray.tune", "Float", lower=0.1, upper=1, sampler=LOG), "write Float(0.1, 1.0, log=True)"),
    "Ray, choices": (_class("ray.tune", "Categorical", categories=["a", "b"]), "write Choice(*['a', 'b'])"),
    "Hyperopt": (_class("hyperopt.pyll.base", "Apply"), "hp.loguniform is Float(low, high, log=True)"),
    "scipy": (stats.loguniform(1e-3, 1), "write Float(0.001, 1.0, log=True)"),
    "scipy, by its start and width": (stats.uniform(1, 2), "write Float(1.0, 3.0)"),
    "scipy, upper bound excluded": (stats.randint(1, 10), "write Int(1, 9)"),
    "scipy, without bounds": (stats.norm(0, 1), "write a Float with bounds, and prior="),
    "a function": (len, "write a Float, Int or Choice, such as Float(0, 1)"),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_parameter_of_another_tuner_is_answered_with_ours(case):
    value, said = VALUES[case]
    with pytest.raises(SpaceError) as error:
        tt.Space(x=value)
    assert said in str(error.value).partition(" is not a Float, Int or Choice; ")[2]
