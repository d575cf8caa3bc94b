"""Vocabularies: declarations of instruments, and nothing else."""
