"""What lets the Autobahn suite, written for Python 2, run under Python 3 (see scripts/autobahn-setup).

In Python 2 a string was octets. Here the suite's strings stay strings, one character per octet
(Latin-1), and octets begin where the WebSocket library begins. The modules of the suite import
`binascii` and `Utf8Validator` from here; the rest is put over its classes at run time by main().
"""
import binascii as real_binascii
import builtins
import json as real_json
import sys
import types

from autobahn.websocket import utf8validator


def octets(value):
    return value.encode("latin-1") if isinstance(value, str) else value


def string(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("latin-1")
    return value


def hexlify(value):
    return real_binascii.hexlify(octets(value)).decode()


binascii = types.SimpleNamespace(hexlify=hexlify, b2a_hex=hexlify)


class Utf8Validator(utf8validator.Utf8Validator):
    def validate(self, data):
        return super().validate(octets(data))


def strings(value):
    """The same with strings all through, to compare what was got with what was expected."""
    return [strings(item) for item in value] if isinstance(value, (list, tuple)) else string(value)


def log_hex(data, maxlen=64):
    return hexlify(data[:maxlen]) + (" ..." if len(data) > maxlen else "")


def log_text(data, maxlen=64, replace=False):
    try:
        return octets(data[:maxlen]).decode("utf-8", "replace" if replace else "strict")
    except UnicodeError:
        return "0x" + log_hex(data, maxlen)


def open_report(path, mode="r"):
    report = builtins.open(path, mode, encoding="utf-8", errors="backslashreplace")
    write = report.write
    report.write = lambda line: write(line.decode("utf-8") if isinstance(line, bytes) else line)
    return report


def patch_protocol(protocol):
    """What leaves for the wire becomes octets, what the cases are shown becomes strings."""
    on_message, on_pong, log_frame = protocol.onMessage, protocol.onPong, protocol.logRxFrame

    def send_frame(self, opcode, payload=b"", fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, sync=False):
        payload = octets(payload)
        if payload_len is not None:  # the library would repeat a string
            payload = (payload * (payload_len // max(len(payload), 1) + 1))[:payload_len]
        super(protocol, self).sendFrame(opcode, payload, fin, rsv, octets(mask), None, chopsize, sync)

    def send_message(self, payload, *rest, **named):
        super(protocol, self).sendMessage(octets(payload), *rest, **named)

    def send_frame_data(self, payload, *rest, **named):
        return super(protocol, self).sendMessageFrameData(octets(payload), *rest, **named)

    def send_close_frame(self, code=None, reasonUtf8=None, isReply=False):
        super(protocol, self).sendCloseFrame(code, octets(reasonUtf8), isReply)

    def got_message(self, message, binary):
        # The compression cases (12, 13) hold their data as octets themselves.
        keeps = hasattr(self.runCase, "TESTDATA")
        on_message(self, message if keeps else string(message), binary)

    protocol.sendFrame = send_frame
    protocol.sendMessage = send_message
    protocol.sendMessageFrameData = send_frame_data
    protocol.sendCloseFrame = send_close_frame
    protocol.onMessage = got_message
    protocol.onPong = lambda self, payload: on_pong(self, string(payload))
    protocol.logRxFrame = lambda self, header, payload: log_frame(self, header, [string(part) for part in payload])


def load():
    """The suite's program, patched, and its list of cases."""
    for unused in ("serializer", "case.case9_9_1"):  # a mode and a case that nothing here runs
        name = "autobahntestsuite." + unused
        sys.modules[name] = types.ModuleType(name)
    from autobahntestsuite import case, fuzzing, wstest

    patch_protocol(fuzzing.FuzzingProtocol)
    case.Case.compare = lambda self, one, other: strings(one) == strings(other)
    fuzzing.binLogData, fuzzing.asciiLogData = log_hex, log_text
    fuzzing.open = open_report
    fuzzing.json = types.SimpleNamespace(
        loads=real_json.loads, dumps=lambda value, **named: real_json.dumps(value, default=string, **named))
    connect = fuzzing.connectWS
    # All connections but the first are made without the context that wss needs.
    fuzzing.connectWS = lambda factory, **named: connect(factory, contextFactory=factory.contextFactory)
    return wstest, case.Cases


def main():
    program, cases = load()
    if sys.argv[1:] == ["--count"]:
        print(len(cases))
    else:
        program.run()


if __name__ == "__main__":
    main()
