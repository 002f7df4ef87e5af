"""Waiting for what another process or thread brings about."""

import time


def until(condition, seconds=240):
    """Returns the first true answer of `condition`; fails after `seconds`, which are long because machines may be crowded."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return answer
