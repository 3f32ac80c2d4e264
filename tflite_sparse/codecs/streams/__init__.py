"""Weights as the sparse kernels of ``micro_kernels/`` read them: a stream, parameters, options.

A stream holds the weights of one operator, output after output; the kernel that reads it fixes its layout. The C side
of every format is ``tflite_sparse_kernels.c``.
"""
