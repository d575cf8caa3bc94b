"""Measurements side by side with peers; ratios, since machines differ."""
