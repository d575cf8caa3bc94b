"""The earlier Prometheus names as one table, with the metrics that each is computed from.

`rules` renders it as recording rules, `page` as the tables of the how-to page; ``python -m otel_ha.compat.old_names``
prints either. An expression works for all three ways to Prometheus: it retains the labels that a way adds (job,
instance, via, host_name …).
"""
