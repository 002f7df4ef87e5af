"""What every executor keeps, and what the supervised one promises of its processes, shown with real processes."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from stores import Clock
from waiting import until

from trimtab.errors import RunFailed, SpecError
from trimtab.executors import Exit, Job, gpus, supervised
from trimtab.executors.inline import Inline
from trimtab.executors.local import Local
from trimtab.records import Reason, Resources

MIB = 2**20
FREE = Resources()  # no limits


def sleeper():
    """A process in a session of its own."""
    return subprocess.Popen(["sleep", "300"], start_new_session=True).pid


class Actions:
    """What a payload may ask for: `what` names one of these; each takes (payload, send)."""

    def square(self, payload, send):
        return {"answer": payload["x"] ** 2}

    def talk(self, payload, send):
        return {"heard": [send({"said": i}) for i in range(payload["times"])]}

    def where(self, payload, send):
        os.write(1, b"said aloud\n")
        return {"pid": os.getpid(), "session": os.getsid(0), "input": os.read(0, 10).decode(), "cwd": os.getcwd()}

    def spawn_and_hang(self, payload, send):
        send({"pid": sleeper()})
        time.sleep(300)

    def spawn_and_crash(self, payload, send):
        send({"pid": sleeper()})
        ctypes.string_at(0)

    def child_fills_memory(self, payload, send):
        code = f"b = bytearray({600 * MIB}); import time; time.sleep(300)"
        subprocess.run([sys.executable, "-c", code], check=True)

    def fork_and_leave(self, payload, send):
        if os.fork() == 0:
            time.sleep(300)
        os._exit(3)

    def close_everything(self, payload, send):
        os.closerange(3, 4096)
        time.sleep(300)

    def say_nonsense(self, payload, send):
        json.dumps = lambda value: "nonsense"
        send({})

    def keep_silent(self, payload, send):
        send({"said": "first"})
        time.sleep(300)

    def chatter(self, payload, send):
        for _ in range(15):
            send({})
        return {"answer": "done"}

    def gpus(self, payload, send):
        send({})
        return {"answer": os.environ.get("CUDA_VISIBLE_DEVICES")}

    def ended_by(self, payload, send):
        os.kill(os.getpid(), payload["signal"])


@dataclass(frozen=True)
class Work:
    """The task: picklable, slow to load if asked to be, or impossible to load."""

    delay: float = 0.0
    broken: bool = False

    def load(self):
        time.sleep(self.delay)
        if self.broken:
            raise RuntimeError("this task cannot be loaded")
        return lambda payload, send: getattr(Actions(), payload["what"])(payload, send)


EXECUTORS = {"inline": lambda: Inline(Work().load()), "local": lambda: Local(2, Work(), FREE)}


@pytest.fixture(params=EXECUTORS)
def executor(request):
    made = EXECUTORS[request.param]()
    yield made
    made.close()


@pytest.fixture
def local():
    before = set(psutil.Process().children(recursive=True))
    with closing(Local(2, Work(), FREE)) as made:
        yield made
    assert set(psutil.Process().children(recursive=True)) <= before


def job(number, what, listen=lambda message: {}, resources=FREE, **payload):
    return Job((1, number, 1), {"what": what, **payload}, listen, resources)


def outcome(executor, *jobs, seconds=300):
    """Launch the jobs and wait for their ends: exits by number."""
    for each in jobs:
        executor.launch(each)
    found: dict[int, Exit] = {}
    end = time.monotonic() + seconds
    while len(found) < len(jobs) and time.monotonic() < end:
        found |= {ended.key[1]: how for ended, how in executor.reap(0.5)}
    assert len(found) == len(jobs), "a job did not end"
    return found


def gone(pid, seconds=120):
    """Whether the process ends within a while (a zombie has ended)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


# --------------------------------------------------------------------------------------------------- every executor


def test_the_last_message_comes_back_with_its_cost(executor):
    cpu = 0.0
    for number in range(4):
        ended = outcome(executor, job(number, "square", x=number))[number]
        assert ended.message == {"answer": number**2}
        assert (ended.code, ended.signal, ended.limit, ended.killed) == (None, None, None, False)
        assert ended.cost["wall"] > 0
        cpu += ended.cost["cpu"]
    assert cpu > 0  # short jobs use something, too


def test_each_message_gets_its_reply_in_order(executor):
    heard = []

    def listen(message):
        heard.append(message["said"])
        return {"reply": 10 * message["said"]}

    ended = outcome(executor, job(0, "talk", listen, times=20))[0]
    assert heard == list(range(20))
    assert ended.message == {"heard": [{"reply": 10 * i} for i in range(20)]}


def test_slots_are_counted(executor):
    slots = executor.free()
    assert slots >= 1
    executor.launch(job(0, "square", x=1))
    assert executor.free() == slots - 1
    until(lambda: executor.reap(0.5))
    assert executor.free() == slots
    assert executor.reap(0.0) == []


def test_closing_twice_is_harmless(executor):
    outcome(executor, job(0, "square", x=1))
    executor.close()
    executor.close()
    assert executor.reap(0.0) == []


# -------------------------------------------------------------------------------------------- supervised processes


def test_children_are_reused_and_live_in_sessions_of_their_own(local):
    first = outcome(local, job(0, "where"), job(1, "where"))
    second = outcome(local, job(2, "where"), job(3, "where"))
    pids = [{how.message["pid"] for how in round_.values()} for round_ in (first, second)]
    assert pids[0] == pids[1]
    assert len(pids[0]) == 2
    for how in first.values():
        assert how.message["session"] == how.message["pid"] != os.getsid(0)
        assert how.message["input"] == ""
        assert how.message["cwd"] == os.getcwd()
        assert how.output == "said aloud\n"


def test_kill_reaches_children_in_other_sessions(local):
    started = []
    hanging = job(0, "spawn_and_hang", lambda m: started.append(m["pid"]) or {})
    local.launch(hanging)
    until(lambda: local.reap(0.0) or started)
    local.kill(hanging)
    ((ended, how),) = local.reap(5.0)
    assert ended is hanging
    assert how.killed
    assert how.message is None
    assert gone(started[0])
    assert outcome(local, job(1, "square", x=3))[1].message == {"answer": 9}


def test_a_crash_takes_the_children_along(local):
    started = []
    crashing = job(0, "spawn_and_crash", lambda m: started.append(m["pid"]) or {})
    how = outcome(local, crashing)[0]
    assert how.signal == signal.SIGSEGV
    assert "Segmentation fault" in how.output
    assert gone(started[0])


def test_memory_of_children_counts(local):
    how = outcome(local, job(0, "child_fills_memory", resources=Resources(memory="300MiB")))[0]
    assert how.limit is Reason.MEMORY
    assert how.cost["memory"] > 300 * MIB


@pytest.fixture
def clock(monkeypatch):
    """The time by which limits are kept: it passes when the test says so."""
    made = Clock()
    monkeypatch.setattr(supervised, "time", SimpleNamespace(monotonic=made))
    return made


def test_silence_is_a_stall_and_messages_are_none(local, clock):
    limits, heard, found = Resources(stall="1.5s"), [], {}

    def a_second_passes(message):
        clock.now += 1.0
        return {}

    local.launch(job(0, "keep_silent", lambda message: heard.append(message) or {}, limits))
    until(lambda: local.reap(0.0) or heard)
    local.launch(job(1, "chatter", a_second_passes, limits))
    until(lambda: found.update({ended.key[1]: how for ended, how in local.reap(0.5)}) or len(found) == 2)
    assert found[0].limit is Reason.STALL
    assert found[1].message == {"answer": "done"}


def test_a_process_that_leaves_is_noticed_though_its_fork_holds_the_channel(local):
    assert outcome(local, job(0, "fork_and_leave"))[0].code == 3


@pytest.mark.parametrize("what", ["close_everything", "say_nonsense"])
def test_a_process_that_cannot_be_heard_any_more_is_ended(what, local, monkeypatch):
    monkeypatch.setattr(supervised, "LEAVE", 0.5)
    how = outcome(local, job(0, what))[0]
    assert (how.message, how.code, how.signal, how.killed) == (None, None, None, False)


@pytest.mark.parametrize("which", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_a_signal_from_elsewhere_is_told(local, which):
    assert outcome(local, job(0, "ended_by", signal=int(which)))[0].signal == which


def test_a_reply_that_cannot_be_made_reaches_the_caller(local):
    def listen(message):
        raise OSError("the disk is full")

    local.launch(job(0, "keep_silent", listen))
    with pytest.raises(OSError, match="the disk is full"):
        local.reap(300)


def test_a_limit_of_time_is_kept_while_the_parent_is_held_up(local, clock):
    started = []
    local.launch(job(0, "spawn_and_hang", lambda m: started.append(m["pid"]) or {}, Resources(time="6s")))
    until(lambda: local.reap(0.0) or started)
    child = psutil.Process(started[0]).ppid()
    assert gone(child)  # though nobody looks after it
    assert gone(started[0])
    clock.now += 6.5
    ((_, how),) = local.reap(300)
    assert how.limit is Reason.TIMEOUT


def test_the_time_of_loading_is_not_the_trial_s(clock):
    limits = Resources(time="60s")
    with closing(Local(1, Work(delay=0.5), limits)) as local:
        local.launch(job(0, "square", resources=limits, x=5))
        clock.now += 90.0
        ((_, how),) = until(lambda: local.reap(0.5))
        assert how.message == {"answer": 25}


def test_loading_is_measured_apart_and_only_for_the_first_job_of_a_process():
    with closing(Local(1, Work(delay=0.5), FREE)) as local:
        first, second = (outcome(local, job(n, "square", x=2))[n].cost for n in range(2))
    assert first["loading"] > 0.5 > first["wall"]
    assert second["loading"] == 0.0


def test_a_task_that_cannot_be_loaded_ends_its_job_and_pauses():
    with closing(Local(1, Work(broken=True), FREE)) as local:
        how = outcome(local, job(0, "square", x=5))[0]
        assert how.code == 1
        assert "this task cannot be loaded" in how.output
        assert local.free() == 0


def test_an_interpreter_that_is_not_there_is_an_error_that_says_so(monkeypatch):
    with closing(Local(1, Work(), FREE)) as local:
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(RunFailed, match="/no/such/python"):
            local.launch(job(0, "square", x=5))


def test_a_job_whose_process_cannot_be_started_is_given_back_while_others_run(monkeypatch):
    with closing(Local(2, Work(), FREE)) as local:
        local.launch(job(0, "keep_silent", lambda message: {}))
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        how = outcome(local, job(1, "square", x=5))[1]
        assert (how.killed, local.free()) == (True, 0)


def test_a_process_that_cannot_be_started_leaves_no_file_open(monkeypatch):
    def refused():
        raise OSError("No space left on device")

    with closing(Local(1, Work(), FREE)) as local:
        monkeypatch.setattr(supervised.tempfile, "TemporaryFile", refused)
        files = len(os.listdir("/proc/self/fd"))
        with pytest.raises(RunFailed, match="No space left on device"):
            local.launch(job(0, "square", x=5))
        assert len(os.listdir("/proc/self/fd")) == files


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files, family = len(os.listdir("/proc/self/fd")), set(psutil.Process().children(recursive=True))
    with closing(Local(2, Work(), FREE)) as local:
        started = []
        local.launch(job(0, "spawn_and_hang", lambda m: started.append(m["pid"]) or {}))
        assert outcome(local, job(1, "where"))[1].message["pid"] in [c.pid for c in psutil.Process().children()]
    assert list(tmp_path.iterdir()) == []
    assert set(psutil.Process().children(recursive=True)) <= family
    assert all(gone(pid) for pid in started)
    assert len(os.listdir("/proc/self/fd")) == files


def test_children_die_with_a_parent_that_was_killed(tmp_path):
    """Both a child that works and one that waits for a reply, with what they have started."""
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, signal, sys
        import psutil
        sys.path += [{str(Path(__file__).parent)!r}, {str(Path(__file__).parent.parent)!r}]
        from test_executors import FREE, Local, Work, job

        started = []

        def told(message):
            started.append(message["pid"])
            if len(started) == 2:
                print(*started, *(child.pid for child in psutil.Process().children()), flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            return {{}}

        local = Local(2, Work(), FREE)
        for number in range(2):
            local.launch(job(number, "spawn_and_hang", told))
        while True:
            local.reap(1.0)
        """)
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.run(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment, check=False
    )
    assert parent.returncode == -signal.SIGKILL
    pids = [int(word) for word in parent.stdout.split()]
    assert len(pids) == 4
    assert all(gone(pid) for pid in pids)
    assert [p for p in tmp_path.iterdir() if p.name.startswith("trimtab-")] == []


@pytest.mark.parametrize(
    ("each", "slots", "seen"),
    [
        (1, 3, ["0", "2", "GPU-8f"]),
        (2, 1, ["0,2"]),
        (0.5, 4, ["0", "0", "2", "GPU-8f"]),
        (0, 2, ["0,2,GPU-8f", "0,2,GPU-8f"]),
    ],
)
def test_each_slot_sees_its_own_gpus(monkeypatch, each, slots, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, 2,GPU-8f" if each else "0,2,GPU-8f")
    needs = Resources(gpus=each)
    with closing(Local(slots, Work(), needs)) as made:
        for first in (0, slots):  # twice, with processes that crash in between
            jobs = [job(first + i, "gpus", resources=needs) for i in range(slots)]
            assert sorted(how.message["answer"] for how in outcome(made, *jobs).values()) == seen
            outcome(made, *[job(90 + first + i, "ended_by", signal=9) for i in range(slots)])


def test_a_machine_without_gpus_only_counts_them(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with closing(Local(2, Work(), Resources(gpus=4))) as made:
        assert outcome(made, job(0, "gpus"))[0].message == {"answer": ""}


@pytest.mark.parametrize(
    ("slots", "each", "said"),
    [
        (3, 1, "at most 2 workers"),
        (5, 0.5, "at most 4 workers"),
        (1, 3, "at most 0 workers"),
    ],
)
def test_more_gpus_than_there_are(slots, each, said):
    with pytest.raises(SpecError, match=said):
        gpus.shares(slots, each, ["0", "1"])
