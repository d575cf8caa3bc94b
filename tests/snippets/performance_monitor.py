from otel_ha.compat import get_performance_monitor

monitor = get_performance_monitor()
monitor.record_event_processed("mqtt", "light", "light.living_room")
monitor.record_processing_time(150.5)
summary = monitor.get_metrics_summary()
