"""The deepest stack of a C program without recursion, from what GCC writes with ``-fcallgraph-info=su``.

GCC says 0 bytes of a function without a prologue, though its assembly may push registers: what these take is read from
the disassembly.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tflite_sparse.errors import ExecutionError

FLAG = "-fcallgraph-info=su"
"""GCC 10 and later write a ``.ci`` file beside each object."""

_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?\\n(\d+) bytes')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_INDIRECT = "__indirect_call"

_OBJECT = re.compile(r"^(\S+)\.o: +file format")
_SYMBOL = re.compile(r"^[0-9a-f]+ <(.+)>:$")
_INSTRUCTION = re.compile(r"^ *[0-9a-f]+:\t(\w[\w.]*)\t([^@]*)")
_WORD = 4


@dataclass(frozen=True, slots=True)
class _Calls:
    own: Mapping[str, int]
    called: Mapping[str, set[str]]

    def deepest(self, function: str, above: frozenset[str] = frozenset()) -> int:
        if function in above:
            return 0
        if function == _INDIRECT:  # any function that nothing calls by name
            named = {each for targets in self.called.values() for each in targets}
            targets = {each for each in self.own if each not in named}
        else:
            targets = self.called.get(function, set())
        below = above | {function}
        return self.own.get(function, 0) + max((self.deepest(each, below) for each in targets), default=0)


def deepest(graphs: Iterable[str], disassembly: str, function: str) -> int:
    """Bytes of the stack while a function runs. Functions of libraries are taken for 0 bytes.

    Args:
        graphs: texts of ``.ci`` files.
        disassembly: what ``objdump -d --no-show-raw-insn`` prints of the objects of these files.
        function: its name.

    Raises:
        ExecutionError: a function has no code in the disassembly, or its assembly moves the stack pointer in a way that
            is not known.
    """
    own: dict[str, int] = {}
    called: dict[str, set[str]] = defaultdict(set)
    code = _code(disassembly)
    for text in graphs:
        for title, size in _NODE.findall(text):
            own[title] = int(size) or _pushed(title, code)
        for source, target in _EDGE.findall(text):
            called[source].add(target)
    return _Calls(own, called).deepest(function)


def _code(disassembly: str) -> dict[str, list[tuple[str, str]]]:
    """The instructions of each function, (name, operands): under its name, and under ``file.c:name``."""
    found: dict[str, list[tuple[str, str]]] = {}
    file = ""
    instructions: list[tuple[str, str]] = []
    for line in disassembly.splitlines():
        if match := _OBJECT.match(line):
            file = match[1]
        elif match := _SYMBOL.match(line):
            instructions = []
            found[match[1]] = found[f"{file}.c:{match[1]}"] = instructions
        elif match := _INSTRUCTION.match(line):
            instructions.append((match[1].removesuffix(".w"), match[2].strip()))
    return found


def _pushed(title: str, code: Mapping[str, list[tuple[str, str]]]) -> int:
    if title not in code:
        raise ExecutionError(f"the disassembly has no code of {title}, so its stack is not known.")
    return sum(_bytes_below(title, *each) for each in code[title])


def _bytes_below(title: str, name: str, operands: str) -> int:
    """How far an instruction moves the stack pointer down."""
    to, _, rest = operands.partition(", ")
    if name == "push":
        return _WORD * (operands.count(",") + 1)
    if name == "vpush" and (match := re.fullmatch(r"\{d(\d+)-d(\d+)\}", operands)):
        return 2 * _WORD * (int(match[2]) - int(match[1]) + 1)
    if (name, to) == ("stmdb", "sp!"):
        return _WORD * operands.count(",")
    if name in ("sub", "subw") and (match := re.fullmatch(r"sp, (?:sp, )?#(\d+)", operands)):
        return int(match[1])
    if (name, to) in (("add", "sp"), ("addw", "sp"), ("ldmia", "sp!")):
        return 0
    is_written = to == "sp!" or (to == "sp" and not name.startswith(("ldm", "stm"))) or "[sp, #-" in rest
    if is_written or name == "vpush":
        raise ExecutionError(f"{title} moves the stack pointer by {name} {operands}, which is not known.")
    return 0
