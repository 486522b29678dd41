"""Nodes of a cluster as `weir serve` processes, one real nats-server, the simulated exchange, and a client of each node's API that keeps
what it reads. What must hold whatever happens is in the check_ functions. Nothing sleeps for luck: each step waits for what must come."""
import base64
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.path.abspath(sys.argv[1])
LEASE, GRACE = 3000, 3000
SYMBOLS = ["SPOT_BTC_USDT", "SPOT_ETH_USDT", "SPOT_WOO_USDT", "SPOT_SOL_USDT", "SPOT_XRP_USDT", "SPOT_DOGE_USDT"]
PATIENCE = 60  # a busy machine is no failure
folder = tempfile.mkdtemp(prefix="weir-cluster-")
processes = []


def launch(*args, **more):
    processes.append(subprocess.Popen(*args, **more))
    return processes[-1]


class Failed(Exception):
    pass


def need(fine, text):
    if not fine:
        raise Failed(text)


def until(fn, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = fn()
        if value:
            return value
        time.sleep(0.05)
    raise Failed(f"after {PATIENCE} s not: {what}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Nats:
    """`more`: lines of its configuration; `js`: what its block jetstream holds, None: it is off."""

    def __init__(self, js="", more=""):
        self.port = free_port()
        self.start(js, more)

    def start(self, js="", more=""):
        with open(f"{folder}/nats.conf", "w", encoding="utf-8") as f:
            f.write(f"listen: 127.0.0.1:{self.port}\n{more}\n")
            if js is not None:
                f.write(f"jetstream {{ store_dir: {folder}/nats\n {js} }}\n")
        self.process = launch(["nats-server", "-c", f"{folder}/nats.conf"], stdout=subprocess.DEVNULL, stderr=open(f"{folder}/nats.log", "a"))
        until(self.listens, "nats-server listens")

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.kill()
        self.process.wait()

    def ask(self, subject, data="", **login):
        """One request in NATS' own protocol; its answer read as JSON."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as s:
            f = s.makefile("rwb")
            f.readline()
            inbox = f"_INBOX.test{os.getpid()}"
            payload = data.encode() if isinstance(data, str) else data
            f.write(b"CONNECT " + json.dumps({"verbose": False, "pedantic": False, **login}).encode() + f"\r\nSUB {inbox} 1\r\nPUB {subject} {inbox} {len(payload)}\r\n".encode() + payload + b"\r\n")
            f.flush()
            while True:
                line = f.readline()
                need(line and not line.startswith(b"-ERR"), f"NATS to {subject}: {line}")
                if line.startswith(b"PING"):
                    f.write(b"PONG\r\n")
                    f.flush()
                elif line.startswith(b"MSG"):
                    return json.loads(f.read(int(line.split()[-1])))

    def stream(self, name):
        return self.ask(f"$JS.API.STREAM.INFO.{name}")

    def make_stream(self, name, subject):
        answer = self.ask(f"$JS.API.STREAM.CREATE.{name}", json.dumps({"name": name, "subjects": [subject], "retention": "limits", "storage": "file", "discard": "old", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "num_replicas": 1}))
        need("error" not in answer, f"the stream {name}: {answer}")


class Forwarder:
    """Between one node and NATS; `cut` drops what is there and lets nobody through, silently."""

    def __init__(self, to):
        self.to, self.open, self.pairs = to, threading.Event(), []
        self.open.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            a, _ = self.listener.accept()
            if not self.open.is_set():
                self.pairs.append((a, None))  # accepted, and nothing ever comes
                continue
            b = socket.create_connection(("127.0.0.1", self.to))
            self.pairs.append((a, b))
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self.pump, args=(x, y), daemon=True).start()

    def pump(self, x, y):
        try:
            while data := x.recv(65536):
                self.open.wait()
                y.sendall(data)
        except OSError:
            pass
        for s in (x, y):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def heal(self):
        self.open.set()
        for a, b in self.pairs:
            if b is None:
                a.close()


class Venue:
    def __init__(self, rate=20, linger_ms=0):
        self.log = f"{folder}/venue.log"
        self.process = launch([f"{BUILD}/tests/cluster/cluster_venue", str(rate), str(linger_ms), self.log], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def lines(self):
        with open(self.log, encoding="utf-8") as f:
            for line in f:
                if line.endswith("\n"):
                    kind, at, connection, rest = line.rstrip("\n").split(" ", 3)
                    yield kind, int(at), int(connection), rest

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class BookVenue:
    """A venue of one order book over WebSocket, whose frames book.wasm passes on: a snapshot to each that comes, then the changes. `books`: by number,
    as it was behind that change."""

    def __init__(self):
        self.lock, self.number, self.bids, self.asks, self.books, self.open, self.sessions, self.over = threading.Lock(), 100, {}, {}, {}, [], 0, threading.Event()
        for i in range(20):
            self.bids[str(100 - i)], self.asks[str(101 + i)] = "1", "2"
        self.keep()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        for fn in self.accept, self.change:
            threading.Thread(target=fn, daemon=True).start()

    def keep(self):
        self.books[self.number] = (dict(self.bids), dict(self.asks))

    def send(self, s, frame):
        data = json.dumps(frame).encode()
        s.sendall(b"\x81" + (bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))) + data)

    def accept(self):
        while True:
            s, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            f, key = s.makefile("rb"), b""
            while line := f.readline().strip():
                key = line.split(b": ")[1] if line.lower().startswith(b"sec-websocket-key") else key
            accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            f.read(1)  # it says "first"
            with self.lock:
                self.send(s, {"bids": list(self.bids.items()), "asks": list(self.asks.items()), "sequence": self.number, "flags": ["snapshot"]})
                self.open.append(s)
                self.sessions += 1
            while f.read(1):
                pass
        except OSError:
            pass
        with self.lock:
            if s in self.open:
                self.open.remove(s)
        s.close()

    def change(self):
        while not self.over.wait(0.02):  # the market's pace
            with self.lock:
                self.number += 1
                price, size = str(100 - self.number % 30), str(self.number % 4)
                self.bids.pop(price, None)
                if size != "0":
                    self.bids[price] = size
                self.keep()
                for s in self.open:
                    try:
                        self.send(s, {"bids": [[price, size]], "asks": [], "sequence": self.number})
                    except OSError:
                        pass


# ---- A client of a node's API ----


class Socket:
    """A WebSocket client, as much of one as /v1/records/ws needs."""

    def __init__(self, port, token):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.f = self.s.makefile("rb")
        self.s.sendall(f"GET /v1/records/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode())
        status = self.f.readline()
        if b" 101 " not in status:
            raise OSError(f"no WebSocket: {status}")
        while self.f.readline().strip():
            pass

    def frame(self, op, data):
        mask = os.urandom(4)
        head = bytes([0x80 | op]) + (bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + struct.pack(">H", len(data)) if len(data) < 65536 else bytes([0x80 | 127]) + struct.pack(">Q", len(data)))
        self.s.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def read(self, count):
        data = self.f.read(count)
        if len(data) < count:
            raise OSError("it is gone")
        return data

    def next(self):
        """A whole text message."""
        text = b""
        while True:
            first, second = self.read(2)
            size = second & 127
            size = struct.unpack(">H", self.read(2))[0] if size == 126 else struct.unpack(">Q", self.read(8))[0] if size == 127 else size
            data, op = self.read(size), first & 15
            if op == 8:
                raise OSError("it was closed")
            if op == 9:
                self.frame(10, data)
            elif op < 3:
                text += data
                if first & 128:
                    return text


class Reader(threading.Thread):
    """All records by WebSocket, from the node's first on. When the node or the socket goes it comes again and goes on behind the last number of each
    stream, as users' programs do. `records`: as they came."""

    def __init__(self, node, last):
        super().__init__(daemon=True)
        self.node, self.name, self.records, self.last, self.over = node, node.name, [], last, threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                ws = Socket(self.node.port, self.node.token)
                ask = {"op": "subscribe", "id": "a", "pattern": ">", "from": "time", "since": "1", "max_records": 65536}
                if self.last:
                    ask.update({"from": "seq", "seqs": self.last})
                ws.frame(1, json.dumps(ask).encode())
                while not self.over.is_set():
                    self.take(json.loads(ws.next()))
            except (OSError, ValueError):
                self.over.wait(0.05)

    def take(self, record):
        if "op" in record:
            need(record["op"] in ("subscribed", "seam"), f"{self.name}: {record}")
            return
        self.records.append(record)
        if "seq" in record:
            self.last[name_of(record)] = record["seq"]

    def lines(self):
        return self.records[:]


def read_late(node, venue, count=60, strict=True):
    """A client that begins now: the whole book, then changes, each of which leaves it as the venue had it. `strict`: the whole comes first; else how
    many changes came ahead of it, which are of no use yet."""
    ws = Socket(node.port, node.token)
    ws.frame(1, json.dumps({"op": "subscribe", "id": "a", "pattern": "orderbook.>", "from": "now"}).encode())
    sides, before, last = None, 0, None
    while count:
        r = json.loads(ws.next())
        if r.get("kind") != "data":
            need("op" in r or r["kind"] == "status", f"{node.name}: {r}")
            continue
        if "snapshot" in r["data"]["flags"]:
            sides = {}, {}
        if sides is None:
            need(not strict and before < 200, f"{node.name}: a late reader begins with a change: {r}")
            before += 1
            continue
        need(last is None or int(r["seq"]) == last + 1, f"{node.name}: {r['seq']} behind {last}")
        last = int(r["seq"])
        for side, name in zip(sides, ("bids", "asks")):
            for price, size in r["data"][name]:
                side.pop(price, None)
                if size != "0":
                    side[price] = size
        need(sides == venue.books[r["data"]["sequence"]], f"{node.name}: the book is wrong behind change {r['data']['sequence']}: {sides}, the venue had {venue.books[r['data']['sequence']]}")
        count -= 1
    ws.s.close()
    return before


class Node:
    """`env`, `more`: of this one process. `last`: the numbers that its client has already, from another node."""

    def __init__(self, name, servers, venue_port, keeper=True, key="11" * 32, env=None, more=(), last=None):
        self.name, self.servers, self.venue_port, self.keeper, self.key, self.env, self.more = name, servers, venue_port, keeper, key, env or {}, more
        self.log = f"{folder}/{name}.log"
        self.start()
        self.reader = Reader(self, dict(last or {}))

    def start(self):
        self.wanted = True
        at = f"http://127.0.0.1:{self.venue_port}"
        command = [f"{BUILD}/weir", "serve", "--name", self.name, "--data-dir", f"{folder}/{self.name}", "--listen-port", "0", "--api-rate", "1000000", "--plugins-approve-uploads",
                   "--history-flush", "20ms", "--venues-retry-max", "500ms", "--cluster", self.servers, "--cluster-lease", f"{LEASE}ms", "--cluster-grace", f"{GRACE}ms",
                   "--cluster-records-size", "64MiB", "--cluster-keeper", "true" if self.keeper else "false"]
        for override in (f"https://api.woox.io={at}", f"https://api-pub.woox.io={at}", f"wss://wss.woox.io={at.replace('http', 'ws')}"):
            command += ["--venues-overrides", override]
        self.process = launch(command + list(self.more), stdout=subprocess.PIPE, stderr=open(self.log, "a"), env={**os.environ, "WEIR_SECRET_KEY": self.key, **self.env}, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"listens on https?://[^/]*:(\d+)/", line)
        need(found, f"node {self.name} does not begin: {line!r} {open(self.log).read()[-500:]}")
        self.port = int(found.group(1))
        with open(f"{folder}/{self.name}/admin.token", encoding="utf-8") as f:
            self.token = f.read()

    def revive(self):
        """As a service manager does: on a machine that is too busy a keeper ends even a node that is well."""
        if self.wanted and self.ended():
            need(self.process.returncode == -signal.SIGKILL, f"node {self.name} ended with {self.process.returncode}")
            print(f"  {self.name} was ended by its keeper: the machine is busy")
            self.start()

    def ask(self, method, path, body=None):
        """Status and JSON."""
        while True:
            self.revive()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/wasm" if isinstance(body, bytes) else "application/json"}
            try:
                connection.request(method, path, body if isinstance(body, bytes) or body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                text = answer.read()
                return answer.status, json.loads(text) if text else None
            except (OSError, http.client.HTTPException) as e:
                need(self.wanted and (self.ended() or until(self.ended, f"node {self.name} answers {path} ({e})")), f"node {self.name} does not answer {path}: {e}")
            finally:
                connection.close()

    def get(self, path, method="GET", body=None):
        status, answer = self.ask(method, path, body)
        need(status < 300, f"{self.name}: {method} {path}: {status} {answer}")
        return answer

    def cluster(self):
        return self.get("/v1/node")["cluster"]

    def is_in(self):
        return self.cluster()["state"] == "in"

    def why(self, *parts):
        """All of these in why it is not in."""
        why = self.cluster()["why"]
        return all(p in why for p in parts) and why

    def held(self):
        return {l["topic"] for l in self.cluster()["leases"] if l["held"]}

    def streams(self):
        return self.get("/v1/streams")["streams"]

    def live(self):
        return {s["topic"] for s in self.streams() if s["state"] == "live"}

    def said(self, text):
        return text in open(self.log, encoding="utf-8", errors="replace").read()

    def ran(self):
        """The topics that ever ran here."""
        return set(re.findall(r"'([^']+)@\d+' runs here now", open(self.log, encoding="utf-8", errors="replace").read()))

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.wanted = False
        self.process.kill()
        self.process.wait()

    def ended(self):
        return self.process.poll() is not None


def topic_of(line):
    """As docs/records.md says: blanks, control characters, dots, '*', '>' and '%' are escaped."""
    tokens = [line["type"], line["source"], line["identifier"], *line["parameters"].values()]
    return ".".join(re.sub(r"[\x00-\x20\x7f.*>%]", lambda c: f"%{ord(c[0]):02X}", t) for t in tokens)


def name_of(line):
    """Of its stream: two connections may have one topic."""
    return f"{topic_of(line)}@{line['connection']}"


# ---- What must hold ----


def check_sessions(venue):
    """No topic ever has two sessions, and the venue, which is strict, never had to refuse one because another is there."""
    open_now, most = {}, {}
    for kind, at, connection, topic in venue.lines():
        need(kind != "x", f"a second session was asked for at {at}: {topic}")
        if kind == "+":
            open_now.setdefault(topic, {})[connection] = at
            need(len(open_now[topic]) == 1, f"the venue has {len(open_now[topic])} sessions of {topic} at {at}: {open_now[topic]}")
            most[topic] = most.get(topic, 0) + 1
        elif kind == "-":
            open_now.get(topic, {}).pop(connection, None)
    need(most, "the venue saw nobody")
    return most


def check_seqs(reader, topics=None):
    """By number, stream for stream: each one higher than the one before; where some are left out a gap record stands. How many records."""
    last, told, count = {}, set(), 0
    for r in reader.lines():
        topic = topic_of(r)
        if topics is not None and topic not in topics:
            continue
        topic = name_of(r)
        if r["kind"] == "gap" and "seq" not in r:
            told.add(topic)
        if "seq" not in r:
            continue
        seq, before = int(r["seq"]), last.get(topic)
        if before is not None:
            need(seq > before, f"{reader.name}: {topic}: number {seq} behind {before}")
            need(seq == before + 1 or r["kind"] == "gap" or topic in told, f"{reader.name}: {topic}: {r['kind']} {seq} behind {before}, and no gap record says so")
        last[topic] = seq
        told.discard(topic)
        count += 1
    return count


def trades_sent(venue):
    for kind, at, _, frame in venue.lines():
        if kind != "f":
            continue
        data = json.loads(frame).get("data")
        for t in data if isinstance(data, list) else [data]:
            if isinstance(t, dict) and "px" in t and "sx" in t:
                yield t["s"], int(t["ts"]), str(t["px"]), str(t["sx"])


def check_records(venue, reader):
    """Each trade is among the reader's records, as often as it was sent and no oftener; where some are missing between two that are there, a gap
    record stands between these."""
    place, gaps, times, count = {}, {}, {}, 0
    check_seqs(reader)
    for r in reader.lines():
        count += 1
        if r["kind"] == "gap":
            gaps.setdefault(r["identifier"], []).append(count)
            need(not r["from"] or not r["to"] or int(r["from"]) <= int(r["to"]), f"{reader.name}: a gap that ends before it begins: {r}")
        elif r["kind"] == "data" and r["type"] == "trades":
            key = r["identifier"], int(r["ts_event"]) // 1000000, str(r["data"]["price"]), str(r["data"]["size"])
            place.setdefault(key, count)
            times[key] = times.get(key, 0) + 1
    sent, sent_times = {}, {}
    for symbol, ts, px, sx in trades_sent(venue):
        sent.setdefault(symbol, set()).add((ts, px, sx))
        sent_times[symbol, ts, px, sx] = sent_times.get((symbol, ts, px, sx), 0) + 1
    for key in times:
        need(times[key] <= sent_times.get(key, 0), f"{reader.name}: {key} came {times[key]} times, and was sent {sent_times.get(key, 0)} times")
    counted = inside = 0
    for symbol in sent:
        at, missing = None, []
        for ts, px, sx in sorted(sent[symbol]):
            here = place.get((symbol, ts, px, sx))
            if here is None:
                missing.append((ts, px, sx))
                continue
            if at is not None:
                counted += 1 + len(missing)
                inside += len(missing)
                between = any(min(at, here) < g < max(at, here) for g in gaps.get(symbol, []))
                need(not missing or between, f"{reader.name}: {symbol}: {missing} are missing between records {at} and {here}, and no gap stands there: {gaps.get(symbol)}")
            at, missing = here, []
    need(counted > 50, f"only {counted} trades to judge")
    return f"{counted} trades, {inside} of them in {sum(map(len, gaps.values()))} gaps"


def check_numbers(readers):
    """No number is two records on any two nodes. An order book's late reader gets the whole in place of a change: as it should."""
    told = {}
    for reader in readers:
        for r in reader.lines():
            if "seq" in r and "snapshot" not in (r.get("data") or {}).get("flags", []):
                text = json.dumps(r, sort_keys=True)
                key = (name_of(r), r["seq"])
                need(told.setdefault(key, text) == text, f"{key} is two records: {told[key]} and, to the client of {reader.name}, {text}")
    return len(told)


# ---- A cluster ----


class World:
    """`cut`: each node reaches NATS through a forwarder, which can cut it off. `doors`: each node has a way of its own to the venue, by which that tells them apart."""

    def __init__(self, names="abc", keeper=True, cut=False, linger_ms=0, doors=False, nats=None, login="", env=None):
        self.nats = nats or Nats()
        self.venue = Venue(linger_ms=linger_ms)
        self.nodes = []
        for name in names:
            forwarder = Forwarder(self.nats.port) if cut else None
            port = forwarder.port if cut else self.nats.port
            door = Forwarder(self.venue.port).port if doors else self.venue.port
            self.nodes.append(Node(name, f"nats://{login}127.0.0.1:{port}", door, keeper, env=(env or {}).get(name)))
            self.nodes[-1].forwarder = forwarder
        for n in self.nodes:
            until(n.is_in, f"node {n.name} is in")

    def upload(self, node, module="woox.wasm"):
        with open(f"{BUILD}/guests/{module}", "rb") as f:
            octets = f.read()
        until(lambda: node.ask("POST", "/v1/plugins", octets)[0] < 300, "the upload is taken")

    def fill(self):
        a = self.nodes[0]
        self.upload(a)
        for symbol in SYMBOLS:
            wanted = {"plugin": "woox-datasource", "type": "trades", "identifier": symbol}
            until(lambda: any(s["identifier"] == symbol for s in a.streams()) or a.ask("POST", "/v1/streams", wanted)[0] < 300, f"{symbol} is wanted")
        self.settle(self.nodes)

    def settle(self, nodes):
        """Every stream is live on exactly one of these, and each has some."""
        def done():
            lives = [n.live() for n in nodes]
            held = [n.held() for n in nodes]
            return sum(map(len, held)) == len(SYMBOLS) == len(set().union(*lives)) and sum(map(len, lives)) == len(SYMBOLS)
        until(done, f"{len(SYMBOLS)} streams are live on {[n.name for n in nodes]}")

    def flow(self, node, more=20):
        """So many more records of every stream come to this node's client."""
        def counts():
            found = {}
            for r in node.reader.lines():
                if r["kind"] == "data":
                    found[r["identifier"]] = found.get(r["identifier"], 0) + 1
            return found
        before = counts()
        until(lambda: all(counts().get(s, 0) >= before.get(s, 0) + more for s in SYMBOLS), f"records of all come to the client of {node.name}")

    def holder(self):
        return max(self.nodes, key=lambda n: len(n.held()))

    def check(self, nodes, judge_sessions=True, moved=()):
        """`moved`: topics that ran on more than one node; a client of a node that never ran them must have them, too."""
        for n in nodes:
            print(f"  {n.name}: {check_records(self.venue, n.reader)}")
        for topic in moved:
            others = [n for n in nodes if topic not in n.ran()]
            need(others, f"every node ran {topic}")
            for n in others:
                print(f"  {topic} at {n.name}, which never ran it: {check_seqs(n.reader, {topic})} records by number")
        if judge_sessions:
            print(f"  sessions: {check_sessions(self.venue)}")
        print(f"  {check_numbers([n.reader for n in self.nodes])} numbers, none twice")

    def end(self):
        for n in self.nodes:
            n.reader.over.set()
            if not n.ended():
                n.signal(signal.SIGCONT)
                n.kill()
        self.venue.stop()
        self.nats.stop()
