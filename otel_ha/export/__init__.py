"""Export: from a configuration and a catalog to a MeterProvider with its readers."""
