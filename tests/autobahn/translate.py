"""Translates the installed Autobahn suite from Python 2 in place (see scripts/autobahn-setup).

lib2to3 does the grammar. What it cannot know is a short list of replacements; each must be found as
often as it says, so that another release of the suite fails here and not later.
"""
import pathlib
import re
import sysconfig
from lib2to3 import refactor

ROOT = pathlib.Path(sysconfig.get_path("purelib")) / "autobahntestsuite"
GRAMMAR = "except has_key import ne numliterals print raise tuple_params unicode xrange"
UNUSED = ("case/case9_9_1.py", "serializer.py", "testdb.py", "testrun.py", "wsperfcontrol.py", "wsperfmaster.py")

# file pattern, what, by what, how often in all
REPLACEMENTS = [
    # old classes had no common root, so the two could stand in this order
    ("case/*.py", r"\(object, Case, ?\)", "(Case,)", 6),
    ("case/case10_1_1.py", r"(len\(self\.payload\)) / ", r"\1 // ", 1),
    ("case/case6_x_x.py", r"from autobahn\.websocket\.utf8validator import", "from autobahn_octets import", 1),
    ("case/*.py", r"(?m)^import binascii$", "from autobahn_octets import binascii", 13),
    ("fuzzing.py", r"import os, json, binascii, (.*)", r"import os, json, \1\nfrom autobahn_octets import binascii", 1),
    ("case/case12_x_x.py", r"(import .*), binascii", r"\1\nfrom autobahn_octets import binascii", 1),
]


def main():
    tool = refactor.RefactoringTool(["lib2to3.fixes.fix_" + name for name in GRAMMAR.split()])
    found, unused = [0] * len(REPLACEMENTS), []
    for path in sorted(ROOT.rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name in UNUSED or name.startswith("wamp"):
            unused.append(path)  # there until the end: lib2to3 looks for what an import may mean
            continue
        source = path.read_bytes().decode("latin-1").replace("\r\n", "\n")
        source = re.sub(r"\A#.*coding.*\n", "", source)  # octets over 0x7f are now Latin-1 characters
        source = str(tool.refactor_string(source.rstrip("\n") + "\n", str(path)))
        for i, (pattern, old, new, _) in enumerate(REPLACEMENTS):
            if pathlib.PurePath(name).match(pattern):
                source, count = re.subn(old, new, source)
                found[i] += count
        path.write_text(source, encoding="utf-8")
    for path in unused:
        path.unlink()
    for (pattern, old, _, want), count in zip(REPLACEMENTS, found):
        if count != want:
            raise SystemExit(f"autobahn-setup: {pattern}: {old!r} is there {count} times, not {want}")


main()
