"""Bound instruments: recording is one append; a collection settles what was appended.

Recording through the SDK validates and hashes the attributes once for every reader, at every call. Here an attribute
set is resolved once, to a cell, and a measurement is appended to a list: the cell's own, or that of a group of
measurements that belong together.

At the start of a collection the journal is settled: what waits in the lists goes to the cells, and the cells to the
aggregations that the SDK made for them, one for each reader. Those are the SDK's own, with a way in for many
measurements at once; temporality, readers and exporters stay the SDK's. That an aggregation belongs to a cell is found
out by a measurement of nothing through the public API, whose context names the cell. What observables say goes to
aggregations that were found in the same way.
"""
