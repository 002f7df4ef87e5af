"""Several threads at the same work."""

import threading


def at_once(*calls):
    """Make all the calls, each in a thread of its own, and wait for them; what they raised."""
    raised = []

    def careful(call):
        try:
            call()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=careful, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised
