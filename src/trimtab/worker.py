"""temporary"""
import threading, time
from .objective import ActiveTrial
from .objective.evaluation import measured, TrialFailed, payload
from .records import *
from .executors import Job, Exit
from .errors import LeaseLost

def told(metrics, failed, needed, wall):
    cost=Cost(wall=wall)
    if failed is not None:
        return Outcome(State.FAILED, reason=Reason.ERROR, error=failed, cost=cost)
    try:
        return Outcome(State.DONE, measured(metrics, list(needed)), cost=cost)
    except TrialFailed as e:
        return Outcome(State.FAILED, reason=Reason(e.reason), error=str(e), cost=cost)

class Crew:
    def __init__(self, storage, executor, spec_of, study, resources, lease=15.0, on_event=None):
        self.storage, self.executor, self.spec_of, self.study, self.resources, self.lease = storage, executor, spec_of, study, resources, lease
        self.running = {}
        self.notes = {}
    def start(self, trial):
        self.running[trial.number] = trial
        def listen(m):
            if m["kind"]=="report":
                self.storage.report(trial,[Report(trial.number,trial.attempt,m["step"],m["metrics"],time.time())],self.lease)
                return {"stop": False}
            self.notes.setdefault(trial.number,[]).append(m["text"]); return {}
        try:
            self.executor.launch(Job((self.study,trial.number,trial.attempt), payload(trial, self.spec_of().metrics), listen, self.resources))
        except BaseException:
            raise
    def poll(self, wait):
        out=[]
        for job, ex in self.executor.reap(wait):
            t=self.running.pop(job.key[1]); m=ex.message
            if m is None:
                self.storage.revise(self.study, Change("requeue", number=t.number, attempt=t.attempt)); continue
            cost=Cost(wall=ex.cost.get("wall",0),cpu=ex.cost.get("cpu",0),money=ex.cost.get("wall",0)/3600*self.resources.price)
            if m["state"]=="failed" and m["reason"]=="error" and t.attempt<=self.spec_of().retries:
                self.storage.revise(self.study, Change("requeue", number=t.number, attempt=t.attempt)); continue
            o=Outcome(State(m["state"]),m.get("metrics",{}),Reason(m["reason"]) if "reason" in m else None,m.get("error",""),notes=tuple(self.notes.pop(t.number,())),cost=cost)
            try: out.append(self.storage.finish(t,o))
            except LeaseLost: pass
        return out
    def release(self):
        self.poll(0)
        for t in list(self.running.values()):
            self.storage.revise(self.study, Change("requeue", number=t.number, attempt=t.attempt))
        self.running={}
    def close(self): pass
