"""The deepest stack of a C program without recursion, from what GCC writes with ``-fcallgraph-info=su``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

FLAG = "-fcallgraph-info=su"
"""GCC 10 and later write a ``.ci`` file beside each object."""

_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?\\n(\d+) bytes')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_INDIRECT = "__indirect_call"


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


def deepest(graphs: Iterable[str], function: str) -> int:
    """Bytes of the stack while a function runs. Functions of libraries are taken for 0 bytes.

    Args:
        graphs: texts of ``.ci`` files.
        function: its name.
    """
    own: dict[str, int] = {}
    called: dict[str, set[str]] = defaultdict(set)
    for text in graphs:
        own |= {title: int(size) for title, size in _NODE.findall(text)}
        for source, target in _EDGE.findall(text):
            called[source].add(target)
    return _Calls(own, called).deepest(function)
