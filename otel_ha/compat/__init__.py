"""The earlier ha_ingestor monitoring API on top of telemetry: a service migrates by changing an import.

docs/how-to/move-from-ha-ingestor.md maps each earlier name to its successor. Importing this package sets nothing up;
the first get_…(), create_…() or start does, from the environment, unless telemetry already runs.
"""

from otel_ha.compat.enhanced_collector import (
    EnhancedMetricsCollector,
    create_enhanced_metrics_collector,
    get_enhanced_metrics_collector,
    set_enhanced_metrics_collector,
)
from otel_ha.compat.metrics_collector import (
    MetricsCollector,
    create_metrics_collector,
    get_metrics_collector,
    set_metrics_collector,
)
from otel_ha.compat.performance_monitor import (
    PerformanceMonitor,
    create_performance_monitor,
    get_performance_monitor,
    set_performance_monitor,
)
from otel_ha.compat.prometheus_collector import (
    HAIngestorCollector,
    create_prometheus_collector,
    get_prometheus_collector,
    set_prometheus_collector,
)
from otel_ha.compat.registry import MetricsRegistry
from otel_ha.history import BusinessMetrics, PerformanceMetrics, SystemMetrics

__all__ = [
    "BusinessMetrics",
    "EnhancedMetricsCollector",
    "HAIngestorCollector",
    "MetricsCollector",
    "MetricsRegistry",
    "PerformanceMetrics",
    "PerformanceMonitor",
    "SystemMetrics",
    "create_enhanced_metrics_collector",
    "create_metrics_collector",
    "create_performance_monitor",
    "create_prometheus_collector",
    "get_enhanced_metrics_collector",
    "get_metrics_collector",
    "get_performance_monitor",
    "get_prometheus_collector",
    "set_enhanced_metrics_collector",
    "set_metrics_collector",
    "set_performance_monitor",
    "set_prometheus_collector",
]
