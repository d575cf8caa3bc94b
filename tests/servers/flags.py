"""Flags and files of VictoriaMetrics that the tests, the home stack and its compose file share."""

from __future__ import annotations

from typing import Final

from tests.servers.locate import ROOT

CONFIG: Final = ROOT / "collector-config"
SCRAPE: Final = CONFIG / "victoriametrics" / "scrape.yml"
# With these, metrics that a service pushes by OTLP have the same names and labels as scraped ones.
OTLP: Final = (
    f"-relabelConfig={CONFIG / 'victoriametrics' / 'relabel.yml'}",
    "-opentelemetry.usePrometheusNaming",
    "-opentelemetry.promoteAllResourceAttributes=false",
    "-opentelemetry.promoteResourceAttributes=service.namespace,service.name,service.instance.id",
    "-opentelemetry.promoteScopeMetadata=false",
)
# A crash then loses at most the last 10 s; with the default of 5s, up to 13 s were lost.
FLUSH: Final = "-inmemoryDataFlushInterval=2s"
