"""Test that the messages in docs/troubleshooting.md are those of the program."""

import ast
import re
from pathlib import Path

import pytest

from tflite_sparse_cli.flags import in_flags, names_of
from tflite_sparse_cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = "On the device"
GAP = "…"


def text_of(node):
    """Return the literal text of an expression, with a gap for parts known only at run time."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left) + text_of(node.right)
    return GAP


FLAGS = {
    name: flag
    for command in reversed(cli.list_commands(None))  # of two that have one name, the first
    for name, flag in names_of(cli.get_command(None, command).params).items()
}


def as_shown(text):
    """A message of the library as the command line shows it."""
    return in_flags(text, FLAGS).replace(f"`{GAP}`", GAP)


def messages():
    found = []
    for path in sorted((ROOT / "tflite_sparse").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            as_shown(re.sub(f"{GAP}+", GAP, text_of(node).replace(f"'{GAP}'", GAP)))
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp) and id(node) not in documentation
        ]
    return "\n".join(found)


def headings():
    """Return the sections, and the headings in each."""
    found, section = {}, ""
    for line in (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("### "):
            found.setdefault(section, []).append(line.removeprefix("### "))
    return found


@pytest.fixture(scope="module")
def said():
    return messages()


OURS = [heading for section, lines in headings().items() if section != NOT_OURS for heading in lines]


@pytest.mark.parametrize("heading", OURS)
def test_the_program_says_so(said, heading):
    quoted = re.fullmatch(r"`([^`]+)`", heading)
    assert quoted, "a heading is a message in backticks"
    assert quoted[1] in said


def test_settings_that_messages_name_exist(said):
    """Text left between backticks is unknown to the command line."""
    assert "add --int8" in said
    assert not re.findall(r"(?<!`)`(\w+)(?:=[^`\n]*)?`(?!`)", said)


def test_messages_of_others_are_in_their_own_section(said):
    theirs = [quoted for heading in headings()[NOT_OURS] for quoted in re.findall("`([^`]+)`", heading)]
    assert theirs
    assert not [quoted for quoted in theirs if quoted in said]


def test_no_message_has_two_headings():
    assert len(OURS) == len(set(OURS))
