"""Compare the description of the schema with the accessors that flatc generated for the installed runtime."""

import ast
import inspect
import re

import pytest
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.schema_tables import UNIONS, fields

WIDTHS = {"Bool": 1, "Int8": 1, "Uint8": 1, "Int16": 2, "Uint16": 2, "Int32": 4, "Uint32": 4, "Float32": 4}
WIDTHS |= {"Int64": 8, "Uint64": 8, "Float64": 8}
SOURCE = inspect.getsource(schema)
LINES = SOURCE.splitlines()
CLASSES = {node.name: node for node in ast.parse(SOURCE).body if isinstance(node, ast.ClassDef)}
TABLES = [name for name in CLASSES if hasattr(schema, f"{name}Start")]


def accessors(table):
    """Return by field number the source of accessors that yield the field or an element of it."""
    found = {}
    for method in CLASSES[table].body:
        text = "\n".join(LINES[method.lineno - 1 : method.end_lineno])
        slot = re.search(r"self\._tab\.Offset\((\d+)\)", text)
        if slot and "GetVectorAsNumpy" not in text and "VectorLen" not in text and "return o == 0" not in text:
            found[(int(slot[1]) - 4) // 2] = text
    return found


def described(field):
    """Return the expected effect of an accessor of this field."""
    if field.is_union:
        return "union"
    if field.is_string:
        return "string"
    if field.target:
        return f"{'vector of ' if field.element_width else ''}{field.target}"
    return f"vector of {field.element_width} bytes" if field.element_width else f"{field.width} bytes"


def done(text):
    """Return the effect of an accessor."""
    is_element = "(self, j)" in text
    table = re.search(r"obj = (\w+)\(\)", text)
    if "self._tab.Union" in text:
        return "union"
    if "self._tab.String" in text:
        return "vector of strings" if is_element else "string"
    if table and table[1] in TABLES:
        return f"{'vector of ' if is_element else ''}{table[1]}"
    width = WIDTHS[re.search(r"self\._tab\.Get\(flatbuffers\.number_types\.(\w+)Flags", text)[1]]
    return f"{'vector of ' if is_element else ''}{width} bytes"


@pytest.mark.parametrize("table", TABLES)
def test_every_field_is_described(table):
    expected = {number: done(text) for number, text in accessors(table).items()}
    assert {field.number: described(field) for field in fields(table)} == expected


def test_the_root_and_every_table_of_a_union_are_tables():
    assert "Model" in TABLES
    assert len(TABLES) > 150
    assert {name for union in UNIONS.values() for name in union.values()} <= set(TABLES)


def test_tables_do_not_nest_in_themselves():
    def depth(table, above=()):
        assert table not in above
        below = [name for f in fields(table) if f.target for name in UNIONS.get(f.target, {0: f.target}).values()]
        return 1 + max((depth(name, (*above, table)) for name in below), default=0)

    assert depth("Model") == 6
