#!/usr/bin/env python3
"""A venue that plays the recorded trades of one symbol over plain WebSockets, as fast as they are read, again and again.

    venue.py RECORDING SYMBOL COUNT     prints its port; each socket gets COUNT frames once it has subscribed

The frames are those of RECORDING (sim/captures), octet for octet; they are framed before anybody connects, so that the
venue costs its own core little."""
import base64
import hashlib
import json
import socket
import sys
import threading

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(text):
    head = bytes([0x81, len(text)]) if len(text) < 126 else bytes([0x81, 126]) + len(text).to_bytes(2, "big")
    return head + text


def recorded(path, symbol):
    found = []
    for line in open(path, encoding="utf-8"):
        _, _, text = line.rstrip("\n").partition(": ")
        if text.startswith("{") and '"data"' in text and json.loads(text)["arg"] == {"channel": "trades", "instId": symbol}:
            found.append(frame(text.encode()))
    return found


def read_until(s, have, enough):
    while not enough(have):
        got = s.recv(65536)
        if not got:
            raise ConnectionError
        have += got
    return have


def serve(s, symbol, frames, count):
    try:
        head, _, rest = read_until(s, b"", lambda h: b"\r\n\r\n" in h).partition(b"\r\n\r\n")
        key = next(line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
        s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        read_until(s, rest, lambda h: len(h) >= 6)  # whatever it asks for, it is these trades
        s.sendall(frame(json.dumps({"event": "subscribe", "arg": {"channel": "trades", "instId": symbol}}).encode()))
        block = b"".join(frames) * 20
        whole, left = divmod(count, 20 * len(frames))
        for _ in range(whole):
            s.sendall(block)
        s.sendall(b"".join((frames * 20)[:left]))
        while s.recv(65536):
            pass
    except OSError:
        pass


def main():
    path, symbol, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    frames = recorded(path, symbol)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], len(frames), flush=True)
    while True:
        s, _ = listener.accept()
        threading.Thread(target=serve, args=(s, symbol, frames, count), daemon=True).start()


main()
