"""The home stack without containers, fed by the demo: a store, rules, alerts. `make stack` runs it.

It finds and runs the servers with tests/servers, which know nothing of it.
"""
