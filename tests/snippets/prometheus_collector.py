from otel_ha.compat import get_prometheus_collector

# fmt: off
collector = get_prometheus_collector()
collector.update_system_metrics(hostname="server-01", cpu_percent=25.5, memory_percent=60.0, memory_used_bytes=2048 * 1024 * 1024,
    disk_usage_percent=45.0, disk_io_read_bytes=100 * 1024 * 1024, disk_io_write_bytes=50 * 1024 * 1024,
    network_io_sent_bytes=200 * 1024 * 1024, network_io_recv_bytes=150 * 1024 * 1024)
