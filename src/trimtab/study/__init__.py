"""`Study`, which a user meets, and what it is made of.

study      opens or creates a study, proposes, runs and revises it
answers    what it says about its results
audit      the auditor's side: verify, sign, replay, reproduce, report
arguments  the user's arguments, each checked by itself
opening    the spec as a whole, checked, and compared with what is stored
warmstart  the earlier studies that a new one learns from
idle_rules a warning if stopping rules cannot stop any trial
reproduce  recorded trials, run again
documents  the study's report, as a file and as an event
"""

from .study import Study as Study
