"""A whole int8 model as C99: read into steps, laid out in one arena, written as ``model.h`` and ``model.c``.

The kernels that the steps call are the C files of ``micro_kernels/``.
"""
