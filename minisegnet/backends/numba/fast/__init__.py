"""Kernels whose text differs from the reference's for speed. The plain ones stand in the files of the same floor."""
