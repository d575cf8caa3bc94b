"""The fault suite: each test stages a fault around a measured program and adds a row to docs/reliability.md."""
