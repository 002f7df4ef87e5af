"""How often each key occurred, as a value: adding some makes a new tally and costs what is added, not what there is.

The counts stand in levels, each at least twice as large as the next; a new level swallows those that are too small for
that. So n additions of one key each move every key O(log n) times, and a look-up asks O(log n) levels.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Tally:
    """A multiset that never changes."""

    levels: tuple[Counter[bytes], ...] = ()

    def plus(self, keys: Iterable[bytes]) -> "Tally":
        """With these keys counted as well."""
        last, levels = Counter(keys), [*self.levels]
        if not last:
            return self
        while levels and len(levels[-1]) < 2 * len(last):
            last.update(levels.pop())
        return Tally((*levels, last))

    def __getitem__(self, key: bytes) -> int:
        return sum([level.get(key, 0) for level in self.levels])  # as a list: it is asked for every candidate
