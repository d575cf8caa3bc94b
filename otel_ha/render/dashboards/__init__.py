"""Dashboards: panels as data, chosen by a catalog, drawn for Grafana or for VictoriaMetrics' own page."""
