"""Rendering: text from declarations, for pages that must match the code."""
