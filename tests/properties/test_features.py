"""What a Gaussian process sees of settings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.errors import SpecError
from trimtab.strategies.features import MOST, Features

OPERATIONS = ("conv", "pool", "skip")
SPACE = tt.Space(
    width=tt.Float(0, 1),
    first=tt.Choice(*OPERATIONS),
    second=tt.Choice(*OPERATIONS),
    third=tt.Choice(*OPERATIONS, when={"second": "conv"}),
    norm=tt.Choice("batch", "layer", "none"),
    bias=tt.Choice(True, False),
    shift=tt.Choice(True, False),
    depth=tt.Choice(1, 2, 4, ordered=True),
)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_choices_of_the_same_options_are_counted_where_they_are_active(seed):
    X = SPACE.sample(5, np.random.default_rng(seed))
    features = Features.of(SPACE)
    (counted,) = features.counts  # neither two flags nor options that only one choice has
    F = features.encode(X)[:, counted.first :]
    for setting, row in zip(SPACE.decode(X), F, strict=True):
        taken = [setting.get(name) for name in ("first", "second", "third")]
        assert np.allclose(row * np.sqrt(3 / 2), [taken.count(operation) for operation in OPERATIONS])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), rung=st.booleans())
def test_columns_of_a_group_are_one_parameter_or_counts_or_the_rung(seed, rung):
    features = Features.of(SPACE, rung)
    F = features.encode(SPACE.sample(3, np.random.default_rng(seed)))
    assert F.shape == (3, len(features.groups))
    assert set(features.groups) == set(range(features.group_count)) == set(range(len(SPACE) + 1 + rung))
    for coded in features.choices:
        one_hot = F[:, coded.first : coded.first + coded.options]
        assert np.allclose((one_hot**2).sum(1), 0.5)
        assert (features.groups[coded.first : coded.first + coded.options] == coded.column).all()
    if rung:
        assert (F[:, -1] == 1).all()


def wide(options, ordered=False):
    return tt.Space(word=tt.Choice(*range(options), ordered=ordered), flag=tt.Choice(True, False), x=tt.Float(0, 1))


@pytest.mark.parametrize("strategy", ["auto", "gp", "tpe", "pb2"])
def test_more_options_than_a_model_can_hold_are_refused_before_the_first_trial(strategy):
    more = {"fidelity": tt.Fidelity("epochs", 1, 9)} if strategy == "pb2" else {}
    instead = "pbt" if strategy == "pb2" else "evolution"
    said = f"^word: 4,999 options are too many .* strategy={strategy!r}: .* 5,000 in all; .* strategy={instead!r}"
    with pytest.raises(SpecError, match=said):
        tt.Study("s", wide(MOST - 1), minimize="loss", strategy=strategy, **more)
    for space in (wide(MOST - 2), wide(3 * MOST, ordered=True)):
        tt.Study("s", space, minimize="loss", strategy=strategy, **more)


def test_very_many_options_can_be_searched_and_are_not_explained_by_a_model():
    study = tt.Study("s", wide(200_000), minimize="loss", strategy="evolution", seed=1)
    study.run(lambda trial: trial.params["x"], trials=40, quiet=True)
    assert study.best.params["x"] < 0.3
    assert study.explain().importance()["x"] > study.explain().importance()["word"]
    with pytest.raises(SpecError, match="more than 5,000 options of unordered choices"):
        study.explain().sobol()
