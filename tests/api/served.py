"""A `weir serve --demo` of one test's own: where it listens, its admin's token, requests to it."""
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request


class Served:
    def __init__(self, build, *more):
        self.process = subprocess.Popen([f"{build}/weir", "serve", "--demo", "--listen-port", "0", *more],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        self.said = self.process.stdout.readline() # where the admin's token is
        found = re.search(r"listens on (http://[^/]+)/#token=(\S+)", line)
        if not found:
            sys.exit(f"weir serve said '{line}', not where it listens")
        self.url, self.token = found.group(1), found.group(2)

    def ask(self, method, path, body=None, token=None, kind="application/json", headers=None):
        """Status, content type, octets."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        r = urllib.request.Request(self.url + path, data=data, method=method)
        if token != "":
            r.add_header("Authorization", "Bearer " + (token or self.token))
        if data is not None:
            r.add_header("Content-Type", kind)
        for name, value in (headers or {}).items():
            r.add_header(name, value)
        try:
            with urllib.request.urlopen(r, timeout=60) as a:
                return a.status, a.headers.get("Content-Type", ""), a.read()
        except urllib.error.HTTPError as a:
            return a.code, a.headers.get("Content-Type", ""), a.read()

    def until_ready(self):
        for _ in range(600):
            if self.ask("GET", "/v1/ready", token="")[0] == 200 and b'"state":"live"' in self.ask("GET", "/v1/streams")[2]:
                return # the demo has made its streams
            time.sleep(0.1)
        sys.exit("no stream of weir serve is live after a minute")

    def end(self):
        self.process.terminate()
        self.process.wait(30)
