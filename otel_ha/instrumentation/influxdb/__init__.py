"""InfluxDB: the parts that instrument its clients."""
