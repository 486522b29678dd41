"""A `weir serve`, a simulated venue, and an API client, for the tests beside this file. Nothing sleeps for luck: each step waits
for what must come, DEADLINE seconds at most."""
import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

DEADLINE = 60


class Failed(Exception):
    pass


def need(holds, what):
    if not holds:
        raise Failed(what)


def until(what, found, deadline=DEADLINE):
    """Waits for found() to be true, and answers it."""
    end = time.monotonic() + deadline
    while True:
        answer = found()
        if answer:
            return answer
        need(time.monotonic() < end, f"{what}: not within {deadline} s")
        time.sleep(0.02)


class Venue:
    """weir sim woox, without TLS, until it is told to stop."""

    def __init__(self, weir, *options):
        self.process = subprocess.Popen([weir, "sim", "woox", "--plain", "--port", "0", "--json", "--no-limits", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        at = json.loads(self.process.stdout.readline())
        self.overrides = [f"https://api.woox.io={at['http']}", f"https://api-pub.woox.io={at['http']}", f"wss://wss.woox.io={at['ws']}"]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Answer:
    def __init__(self, status, body):
        self.status = status
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]["text"]


class Daemon:
    """One process. `folder` is its data; the admin's token is read from there."""

    def __init__(self, weir, folder, *options, venue=None, env={}, wait=True):
        command = [weir, "serve", "--data-dir", folder, "--listen-port", "0", "--api-rate", "1000000", "--log-level", "info", *options]
        for override in venue.overrides if venue else []:
            command += ["--venues-overrides", override]
        self.folder = folder
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env={**os.environ, **env})
        self.token = None
        if wait:
            line = self.process.stdout.readline()
            found = re.search(r"listens on https?://[^/]*:(\d+)/", line)
            need(found, f"weir serve does not say where it listens: {line!r} {self.said()}")
            self.port = int(found.group(1))
            with open(f"{folder}/admin.token") as file:
                self.token = file.read()

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def ask(self, method, path, body=None, token=None):
        """An answer, or None: the process is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        headers = {"Authorization": f"Bearer {token or self.token}"}
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/wasm"
        elif body is not None:
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def get(self, path):
        answer = self.ask("GET", path)
        need(answer and answer.status == 200, f"GET {path}: {answer and (answer.status, answer.body)}; {self.said()[-2000:]}")
        return answer.json

    def ready(self):
        until("ready", lambda: (lambda a: a and a.status == 200)(self.ask("GET", "/v1/ready")))

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        """Its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self):
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed("weir serve does not end: " + self.said()[-2000:])
        self.process.stdout.close()
        return code


class Reader(threading.Thread):
    """Reads records by SSE until the other end goes away. `lines`: as they came."""

    def __init__(self, daemon, pattern):
        super().__init__(daemon=True)
        self.lines = []
        self.connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=DEADLINE)
        self.connection.request("GET", f"/v1/records/sse?pattern={pattern}", headers={"Authorization": f"Bearer {daemon.token}"})
        self.answer = self.connection.getresponse()
        need(self.answer.status == 200, f"SSE: {self.answer.status}")
        self.start()

    def run(self):
        try:
            while True:
                line = self.answer.readline()
                if not line:
                    break
                if line.startswith(b"data: ") and line.endswith(b"\n"):
                    self.lines.append(line[6:].rstrip(b"\n"))
        except (OSError, http.client.HTTPException, ValueError):
            pass
        self.connection.close()
