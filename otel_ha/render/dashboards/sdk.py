"""The parts of Grafana's SDK that we use. Importing this module needs grafana-foundation-sdk."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # On import, the SDK advises against the classic schema; Grafana 11 knows no other.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import common as shape
    from grafana_foundation_sdk.builders import dashboard as build
    from grafana_foundation_sdk.builders import heatmap, prometheus, stat, timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common, dashboard
    from grafana_foundation_sdk.models import heatmap as heatmap_models
    from grafana_foundation_sdk.models import prometheus as query_models

__all__ = [
    "JSONEncoder",
    "build",
    "common",
    "dashboard",
    "heatmap",
    "heatmap_models",
    "prometheus",
    "query_models",
    "shape",
    "stat",
    "timeseries",
]
