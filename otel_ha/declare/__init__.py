"""Declarations: instruments, catalogs, operations and naming rules; they do nothing until telemetry runs."""
