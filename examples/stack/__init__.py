"""The home stack without containers, fed by the demo: a store, rules, alerts. `make stack` runs it."""
