"""Trials on their way: the loop that carries out plans, who works for it, and what stands between a process and the record.

runner         the loop: refill the queue, claim, launch, collect
staffing       executors, a crew and a progress line for a call of run or evidence
worker         claimed trials, carried to their ends
sharing        what one process holds so that no slot waits for the record
lookout        whether a search has found enough
referee        the reports of running trials, and the rules that stop them
peers, post    a worker process among equals, and one study that it serves
slurm          the same as jobs
announcements  what a study runs, and whether a worker may run it
anew           whether trials that are to go on from others do
warner         what whoever runs a study must hear while it goes on
progress       the line that says how a run stands
clock          time as one object, so that a simulation can bring its own
"""
