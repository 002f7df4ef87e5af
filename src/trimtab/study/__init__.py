"""What a user meets: `Study`, and what it is made of.

study      opens or creates a study, proposes, runs and revises it
answers    what it says of its results
audit      the auditor's side: verify, sign, replay, reproduce, document
arguments  what the user said, each argument by itself
opening    the spec as a whole, compared with what is stored
warmstart  the earlier studies that it learns from
idle_rules what keeps its stopping rules from stopping any trial
reproduce  recorded trials, run again
documents  the study's document, as a file and as an event
"""

from .study import Study as Study
