"""What every room stands on: progress, child processes, the process pool, atomic files, names of written files."""
