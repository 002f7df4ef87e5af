"""A tally counts as a Counter does, whatever it was made from, and never changes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trimtab.numerics.tally import Tally

KEYS = st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]) | st.binary(max_size=2), max_size=12)


@given(st.lists(KEYS, max_size=8))
def test_it_counts_what_was_added_and_stays_as_it_was(batches):
    tally, counted = Tally(), Counter()
    for batch in batches:
        before, known = tally, dict(counted)
        tally = tally.plus(batch)
        counted.update(batch)
        assert all(before[key] == n for key, n in known.items())
        assert all(tally[key] == n for key, n in counted.items())
    assert tally[b"never seen"] == 0


def test_few_levels_however_many_additions_and_what_is_known_is_seldom_counted_again():
    tally, counted = Tally(), 0
    for i in range(1000):
        before, tally = tally, tally.plus([i.to_bytes(2)])
        counted += sum(len(level) for level in tally.levels if all(level is not known for known in before.levels))
    assert len(tally.levels) <= 11
    assert counted <= 1000 * 11
