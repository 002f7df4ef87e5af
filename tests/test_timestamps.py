"""Time stamps of an authority (RFC 3161): a local one, made with openssl."""

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import trimtab as tt
from trimtab import keys
from trimtab.chain import seals
from trimtab.errors import UserError

CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_cert = {folder}/tsa.crt
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
[req]
distinguished_name = name
[name]
"""


def openssl(*words, **how):
    return subprocess.run(["openssl", *words], check=True, capture_output=True, **how).stdout


def certificates(folder):
    (folder / "tsa.conf").write_text(CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    conf = str(folder / "tsa.conf")
    new = ["-newkey", "rsa:2048", "-nodes", "-config", conf]
    openssl(
        "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca", "-extensions", "ca", cwd=folder
    )
    openssl("req", *new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=tsa", cwd=folder)
    signed = [
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-extfile",
        conf,
        "-extensions",
        "leaf",
        "-days",
        "9",
    ]
    openssl("x509", "-req", "-in", "tsa.csr", "-out", "tsa.crt", *signed, cwd=folder)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """(address, folder) of a running authority."""
    folder = tmp_path_factory.mktemp("tsa")
    certificates(folder)

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            if self.path == "/garbled":
                self.wfile.write(b"this is not HTTP\r\n\r\n")
                return
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            reply = [
                "-reply",
                "-config",
                str(folder / "tsa.conf"),
                "-section",
                "one",
                "-queryfile",
                str(folder / "query"),
            ]
            content = openssl("ts", *reply) if self.path == "/good" else b"no"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", storage=f"sqlite:///{tmp_path}/s.db")


def test_a_checkpoint_carries_the_authority_s_time(study, authority):
    address, folder = authority
    study.sign(timestamp=f"{address}/good")
    event = study.storage.events(study.record.id)[-1]
    assert abs(seals.stamped(event.body) - event.at) < 120
    assert study.verify() == []
    (keys.folder() / "authority.crt").write_bytes((folder / "ca.crt").read_bytes())
    assert study.verify() == []


def test_a_certificate_in_another_form_is_an_error_that_names_the_file(study, authority):
    address, folder = authority
    study.sign(timestamp=f"{address}/good")
    openssl("x509", "-in", "ca.crt", "-outform", "der", "-out", keys.folder() / "authority.crt", cwd=folder)
    with pytest.raises(UserError, match=r"authority\.crt is no certificate in PEM form; convert it"):
        study.verify()


def test_a_token_of_another_authority_or_signature_is_named(study, authority, tmp_path):
    address, _ = authority
    study.sign(timestamp=f"{address}/good")
    certificates(tmp_path)
    (keys.folder() / "authority.crt").write_bytes((tmp_path / "ca.crt").read_bytes())
    assert study.verify() == ["event 2 (checkpoint): its time-stamp token is from no authority that is trusted here"]
    (keys.folder() / "authority.crt").unlink()
    token = study.storage.events(study.record.id)[-1].body["timestamp"]
    study.sign()
    events = study.storage.events(study.record.id)
    forged = [*events[:2], type(events[2])(**{**vars(events[2]), "body": {**events[2].body, "timestamp": token}})]
    assert seals.findings(study.record.uid, forged, {}) == [
        "event 3 (checkpoint): its time-stamp token is of another signature"
    ]
    broken = [*events[:2], type(events[2])(**{**vars(events[2]), "body": {**events[2].body, "timestamp": "AAAA"}})]
    assert "its time-stamp token cannot be read" in seals.findings(study.record.uid, broken, {})[0]


def test_a_document_is_written_of_a_record_with_an_edited_token(study, authority, tmp_path, monkeypatch):
    study.sign(timestamp=f"{authority[0]}/good")
    study.storage.close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as database, database:
        database.execute("update events set body = json_set(body, '$.timestamp', 'AAAA') where kind = 'checkpoint'")
    study = tt.Study("s", storage=f"sqlite:///{tmp_path}/s.db")
    items = {i["id"]: i for i in json.loads(study.report(tmp_path / "r.json").read_text())["items"]}
    assert items["approvals"]["tables"][0]["rows"][0]["cells"][-1] == "cannot be read"
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(UserError, match=r'pip install "trimtab\[sign\]"'):
        study.report(tmp_path / "r.json")


@pytest.mark.parametrize("place", ["/bad", "/garbled", "nowhere"])
def test_an_authority_that_does_not_answer_leaves_nothing_behind(study, authority, place):
    address = "http://127.0.0.1:9/" if place == "nowhere" else f"{authority[0]}{place}"
    with pytest.raises(UserError, match="gave no time stamp"):
        study.sign(timestamp=address)
    assert study.record.position == 1
    assert not Path(keys.folder() / "signed").exists()
    with pytest.raises(UserError, match="is no address of an authority"):
        study.sign(timestamp="tsa.example.org")
