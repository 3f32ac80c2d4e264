"""Write ``CMakeLists.txt``: the sources as one static library."""

from __future__ import annotations

from collections.abc import Sequence

from tflite_sparse.standalone_c import c_text
from tflite_sparse.standalone_c.header import Naming

NAME = "CMakeLists.txt"


def render(naming: Naming, c_files: Sequence[str]) -> str:
    """The whole text of the file."""
    listed = "\n  ".join(c_files)
    return f"""\
# Made by {c_text.comment(naming.tool)}. In a project: add_subdirectory and target_link_libraries.
cmake_minimum_required(VERSION 3.10)
project({naming.prefix} C)
add_library({naming.prefix} STATIC
  {listed}
)
set_target_properties({naming.prefix} PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON)
target_include_directories({naming.prefix} PUBLIC "${{CMAKE_CURRENT_SOURCE_DIR}}")
target_compile_options({naming.prefix} PRIVATE -O2 -ffunction-sections -fdata-sections)
"""
