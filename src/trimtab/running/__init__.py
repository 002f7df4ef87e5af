"""Running trials: the loop that carries out plans, and everything between an executor and the record.

runner         a search, step by step: record what has ended, plan, refill the queue, claim, launch
staffing       sets up a crew, with its executor and progress line, for one call of run or evidence
crew           the trials that run in one process, from launch to their recorded ends
claim_ahead    claiming ahead and recording together, so that no slot waits for the record
enough         whether a search has found enough
referee        writes the reports of running trials, and applies the stopping rules
worker, served `trimtab worker`: a process that takes steps for the studies of a store, and one study that it serves
slurm          a study whose workers are Slurm jobs: it only watches them
announcements  what a study runs, and whether a worker may run it
restarts       a warning if trials that should continue from a checkpoint start from scratch
alerts         what a user should hear while a study runs
progress       the progress line
clock          time as an object, so that a simulation can bring its own
"""
