"""The tests. A package, so that tests.servers is importable wherever pytest is started from."""
