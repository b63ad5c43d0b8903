"""Benchmarks of the command line, one module each."""
