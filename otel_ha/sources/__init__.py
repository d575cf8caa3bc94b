"""Instrumentation: what feeds the declarations without a call in the service's own code."""
