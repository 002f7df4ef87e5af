"""How far two orders agree, with and without ties."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from trimtab.numerics.rank_correlation import kendall, spearman

few = st.integers(0, 3)  # so that values tie


@given(st.lists(st.tuples(few, few), max_size=30))
def test_spearman_shares_the_rank_of_equal_values(pairs):
    a, b = np.array(pairs, dtype=float).reshape(-1, 2).T
    constant = len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0
    assert spearman(a, b) == pytest.approx(0.0 if constant else spearmanr(a, b).statistic, abs=1e-12)


@given(st.lists(st.tuples(few, few), min_size=2, max_size=12))
def test_kendall_counts_pairs_that_agree_less_those_that_do_not(pairs):
    signs = [np.sign(a - b) * np.sign(c - d) for (a, c), (b, d) in combinations(pairs, 2)]
    assert kendall([((a,), (b,)) for a, b in pairs]) == pytest.approx(np.mean(signs))
