"""Vocabularies: declarations of instruments only."""
