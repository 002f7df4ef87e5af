"""A network between a program and its server that tests can cut."""

import socket
import threading
from contextlib import suppress


class Proxy:
    """Carries bytes between clients and 127.0.0.1:`port`. `cut` ends all connections and refuses new ones until `mend`;
    `lose_answer_to` lets the next message that holds these bytes through, and cuts the connection before its answer; so many
    clients as `recovering` says are told what a server says that has crashed and is not back yet. If `pooling`, clients are
    told a process that is not their back end's, as PgBouncer does."""

    def __init__(self, port):
        self.server = port
        self.lose_answer_to = b""
        self.lost = 0
        self.recovering = 0
        self.pooling = False
        self._pairs, self._open = [], True
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            if not self._open:
                client.close()
                continue
            if self.recovering:
                self.recovering -= 1
                _not_yet(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.server))
            except OSError:
                client.close()
                continue
            self._pairs.append((client, server))
            threading.Thread(target=self._carry, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, False), daemon=True).start()

    def _carry(self, source, target, asks):
        try:
            while data := source.recv(65536):
                if asks and self.lose_answer_to and self.lose_answer_to in data:
                    self.lose_answer_to, self.lost = b"", self.lost + 1
                    _end(source)
                    target.sendall(data)  # the other thread cannot hand on what comes of it
                    return
                target.sendall(_under_another_number(data) if self.pooling and not asks else data)
        except OSError:
            pass
        for s in (source, target):
            _end(s)

    def cut(self):
        self._open = False
        for pair in self._pairs:
            for s in pair:
                _end(s)
        self._pairs.clear()

    def mend(self):
        self._open = True

    def close(self):
        self._socket.close()
        self.cut()


def _not_yet(client):
    """Refuse a connection in PostgreSQL's words and protocol: encryption first, then the start itself."""
    while client.recv(4096)[4:8] in ((80877103).to_bytes(4), (80877104).to_bytes(4)):
        client.sendall(b"N")
    told = {
        "S": "FATAL",
        "C": "57P03",
        "M": "the database system is not yet accepting connections",
        "D": "Consistent recovery state has not been yet reached.",
    }
    fields = b"".join(key.encode() + text.encode() + b"\0" for key, text in told.items()) + b"\0"
    client.sendall(b"E" + (len(fields) + 4).to_bytes(4) + fields)
    _end(client)


def _under_another_number(data):
    """What a server says, with another process in its BackendKeyData."""
    head, key, rest = data.partition(b"K\0\0\0\x0c")
    return head + key + b"\0\0\0\1" + rest[4:] if key else data


def _end(s):
    with suppress(OSError):
        s.shutdown(socket.SHUT_RDWR)
    s.close()
