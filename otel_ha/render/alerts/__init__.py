"""Alerts: data by topic, one table of thresholds, and the rules file, the reference and the index that follow."""
