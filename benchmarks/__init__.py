"""Benchmarks: programs that print ratios against named peers and limits of the same run."""
