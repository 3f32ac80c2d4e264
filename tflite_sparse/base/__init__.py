"""Provide progress, child processes, the process pool and atomic files to all packages."""
