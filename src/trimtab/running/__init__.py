"""Running trials: the loop that carries out plans, what runs them, and what stands between a process and the record.

runner         the loop: refill the queue, claim, launch, collect
staffing       an executor, a crew and a progress line for one call of run or evidence
crew           the trials that run in one process, carried to their ends
sharing        claiming ahead and recording together, so that no slot waits for the record
enough         whether a search has found enough
referee        the reports of running trials, and the stopping rules that hear them
worker, served `trimtab worker`: a process among equals, and one study that it serves
slurm          the same as Slurm jobs
announcements  what a study runs, and whether a worker may run it
restarts       whether trials that should continue from a checkpoint start from scratch
alerts         what a user should hear while a study runs
progress       the progress line
clock          time as an object, so that a simulation can bring its own
"""
