"""The scrape: from collected metrics to Prometheus text, at a fraction of the exporter's cost."""
