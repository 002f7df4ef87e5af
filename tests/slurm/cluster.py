"""A Slurm cluster of two nodes on this machine: munged, slurmctld and two slurmd of Debian, made in a temporary folder on
free ports, and ended with the tests. It runs as root only."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from waiting import until

CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=1
MpiDefault=none
ReturnToService=2
KillWait=45
MinJobAge=2
NodeName=a NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=b NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=main Nodes=a,b Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """`config` is what SLURM_CONF must name."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="trimtab-slurm-"))
        self.folder.chmod(0o755)
        for name in ("state", "a", "b"):
            (self.folder / name).mkdir()
        self.config = self.folder / "slurm.conf"
        told = {"host": socket.gethostname().partition(".")[0], "folder": self.folder, "ports": _ports(3)}
        self.config.write_text(CONFIG.format(**told))
        key = self.folder / "key"
        key.touch(mode=0o400)
        key.write_bytes(os.urandom(64))
        self._running = []
        named = {k: self.folder / k for k in ("pid-file", "log-file", "seed-file")}
        places = [f"--{k}={v}" for k, v in {**named, "socket": self.folder / "munge.sock", "key-file": key}.items()]
        self._start("munged", "--foreground", "--force", *places)
        until(lambda: (self.folder / "munge.sock").exists())
        self._start("slurmctld", "-D")
        for node in ("a", "b"):
            self._start("slurmd", "-D", "-N", node)
        until(lambda: self.ask("sinfo", "--noheader", "--states=idle", "--format=%D").strip() == "2")

    def _start(self, program, *words):
        found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
        assert found, f"{program} is not installed; `make slurm` does that"
        with open(self.folder / f"{program}.out", "ab") as out:
            started = subprocess.Popen([found, *words], stdout=out, stderr=out, env=self._environment())
        self._running.append(started)

    def _environment(self):
        return {**os.environ, "SLURM_CONF": str(self.config)}

    def ask(self, *call):
        """What one of Slurm's programs answers."""
        done = subprocess.run(call, capture_output=True, text=True, env=self._environment(), check=False, timeout=60)
        return done.stdout

    def jobs(self):
        """[(job of a task, state)] of all tasks that wait or run."""
        return [tuple(line.split()) for line in self.ask("squeue", "-h", "-r", "--format=%A %T").splitlines()]

    def close(self):
        self.ask("scancel", "--full", "--user=root")
        for started in reversed(self._running):
            started.send_signal(signal.SIGTERM)
        with ExitStack() as rest:
            for started in reversed(self._running):
                rest.callback(started.kill)
                started.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


def _ports(n):
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
