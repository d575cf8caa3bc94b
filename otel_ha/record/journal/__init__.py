"""The journal: recording is a single append; a collection settles the appended amounts.

The SDK validates and hashes the attributes of each measurement once for every reader. Here an attribute set is resolved
once, to a cell, and a measurement is appended to a list: the cell's own, or that of a batch of measurements that are
recorded together.

At the start of a collection the journal is settled: amounts go from the lists to the cells, and from the cells to the
aggregations that the SDK made for them, one for each reader. These are the SDK's own, with an entry for many
measurements at once; temporality, readers and exporters stay the SDK's. A cell finds its aggregations by an empty
measurement through the public API, whose context names the cell. Observed values go to aggregations that are found in
the same way.
"""
