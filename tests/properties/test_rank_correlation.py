"""How far two orders agree, with and without ties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from trimtab.numerics.rank_correlation import spearman

few = st.integers(0, 3)  # so that values tie


@given(st.lists(st.tuples(few, few), min_size=2, max_size=30))
def test_spearman_shares_the_rank_of_equal_values(pairs):
    a, b = np.array(pairs, dtype=float).T
    constant = np.ptp(a) == 0 or np.ptp(b) == 0
    assert spearman(a, b) == pytest.approx(0.0 if constant else spearmanr(a, b).statistic, abs=1e-12)
