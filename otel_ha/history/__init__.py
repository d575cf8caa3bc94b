"""History: the metrics of this process at its last collections, and the values derived from them."""

from otel_ha.history.history import History, Interval
from otel_ha.history.metrics import BusinessMetrics, PerformanceMetrics, SystemMetrics

__all__ = ["BusinessMetrics", "History", "Interval", "PerformanceMetrics", "SystemMetrics"]
