"""What a Gaussian process sees of settings."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.strategies.features import Features

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
