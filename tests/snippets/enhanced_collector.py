from otel_ha.compat import get_enhanced_metrics_collector

# fmt: off
collector = get_enhanced_metrics_collector()
collector.record_event_processing(duration_seconds=0.15, source="mqtt", domain="light", entity_id="light.living_room", success=True)
text = collector.export_prometheus_metrics()
