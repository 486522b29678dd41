"""A client of /v1/records by WebSocket and by server-sent events: what comes is handed on as it is."""
import base64
import json
import os
import socket
import struct

TIMEOUT = 60


def dial(served):
    host, port = served.url[len("http://"):].split(":")
    return socket.create_connection((host, int(port)), timeout=TIMEOUT)


class Socket:
    def __init__(self, served, token=None, path="/v1/records/ws"):
        self.sock = dial(served)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {served.url[7:]}\r\nAuthorization: Bearer {token or served.token}\r\nUpgrade: websocket\r\n"
                          f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        self.stream = self.sock.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.stream.readline()
            if not line:
                break
            head += line
        self.head = head.decode()
        self.closed = None  # its code

    def frame(self, opcode, octets, first=0x80):
        size = bytes([0x80 | len(octets)]) if len(octets) < 126 else b"\xfe" + struct.pack(">H", len(octets)) if len(octets) < 65536 else b"\xff" + struct.pack(">Q", len(octets))
        self.sock.sendall(bytes([first | opcode]) + size + b"\0\0\0\0" + octets)  # a mask of zeros is one

    def say(self, message):
        self.frame(1, message if isinstance(message, bytes) else json.dumps(message).encode())

    def hear(self):
        """The next text; None: it is closed."""
        while True:
            head = self.stream.read(2)
            if len(head) < 2:
                return None
            size = head[1] & 0x7f
            size = struct.unpack(">H", self.stream.read(2))[0] if size == 126 else struct.unpack(">Q", self.stream.read(8))[0] if size == 127 else size
            body = self.stream.read(size)
            if head[0] & 15 == 9:
                self.frame(10, body)
            elif head[0] & 15 == 8:
                self.closed = struct.unpack(">H", body[:2])[0] if len(body) > 1 else 1005
                return None
            elif head[0] & 15 == 1:
                return body

    def end(self):
        self.stream.close()
        self.sock.close()


class Events:
    def __init__(self, served, query, token=None, headers=""):
        self.sock = dial(served)
        self.sock.sendall(f"GET /v1/records/sse?{query} HTTP/1.0\r\nHost: {served.url[7:]}\r\nAuthorization: Bearer {token or served.token}\r\n{headers}\r\n".encode())
        self.stream = self.sock.makefile("rb")  # HTTP/1.0: it comes without chunks
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            line = self.stream.readline()
            if not line:
                break
            self.head += line

    def hear(self):
        """The next event: its fields. None: that was all."""
        event = {}
        while True:
            line = self.stream.readline()
            if not line:
                return None
            line = line.rstrip(b"\n")
            if not line:
                if event:
                    return event
                continue
            name, _, value = line.partition(b":")
            if name:  # else a comment
                event[name.decode()] = value[1:] if value.startswith(b" ") else value

    def end(self):
        self.stream.close()
        self.sock.close()
