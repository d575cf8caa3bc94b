"""The scrape: whether Prometheus can read the service's metrics, and whether the accounts of events add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel_ha.cli.client import Answer, Client, FailedError
from otel_ha.cli.doctor.reach import cause_of, quoted, remedy_for
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.scrub import scrub
from otel_ha.vocabulary import ingest, runtime

__all__ = ["scrape_steps"]

_OPENMETRICS: Final = "application/openmetrics-text"
# The two forms that every Prometheus may ask for.
_ACCEPTED: Final = {"text": "text/plain; version=0.0.4", "OpenMetrics": f"{_OPENMETRICS}; version=1.0.0"}
_LIMIT: Final = 4


def scrape_steps(client: Client, summary: Mapping[str, Any]) -> Iterator[Step]:
    """Yield the steps about the scrape of a service that answers."""
    families: list[Metric] = []
    for form, accept in _ACCEPTED.items():
        step = partial(
            Step,
            id=f"endpoint.scrape_{form.lower()}",
            title=f"The scrape is right ({form})",
            tried=f"GET {client.shown}/metrics, Accept: {accept}",
        )
        found, families = _scraped(step, client, accept)
        yield found
        if found.result is Result.FINDING:
            return
    yield from _accounts(client, families, summary)
    yield from _problems(client, families)


def _scraped(step: partial[Step], client: Client, accept: str) -> tuple[Step, list[Metric]]:
    try:
        answer = client.fetch("metrics", accept)
    except FailedError as error:
        cause = cause_of(error, client)
        return step(result=Result.FINDING, found=str(error), cause=cause, remedy=remedy_for(cause)), []
    if answer.status != 200:  # noqa: PLR2004 - a status code of HTTP
        return _refused(step, answer), []
    kind = answer.headers.get("Content-Type", "")
    if not kind.startswith(accept.partition(";")[0]):
        found = f"the response says Content-Type {scrub(quoted(kind)) or 'nothing'}, which Prometheus 3 refuses"
        remedy = "a proxy in between may change it: let it pass the header on"
        return step(result=Result.FINDING, found=found, cause="scrape_content_type", remedy=remedy), []
    try:
        families = list((parse_openmetrics if kind.startswith(_OPENMETRICS) else parse_text)(answer.text))
    except (ValueError, KeyError, IndexError) as error:
        found = f"the text cannot be parsed: {scrub(quoted(str(error)))}"
        remedy = "a proxy in between may change it; otherwise report it, with the text of /metrics"
        return step(result=Result.FINDING, found=found, cause="scrape_unreadable", remedy=remedy), []
    return _unique(step, families), families


def _refused(step: partial[Step], answer: Answer) -> Step:
    remedies = {
        404: "add prometheus to OTEL_METRICS_EXPORTER of the service",
        503: "another scrape takes long: scrape less often, or by one Prometheus only",
    }
    return step(
        result=Result.FINDING,
        found=f"it answers {answer.status}: {scrub(quoted(answer.text))}",
        cause="scrape_off" if answer.status == 404 else "scrape_failed",  # noqa: PLR2004 - a status code of HTTP
        remedy=remedies.get(answer.status, "look at the service's log"),
        facts={"status": answer.status},
    )


def _unique(step: partial[Step], families: Iterable[Metric]) -> Step:
    """Return the step about a text that can be parsed: each series may be in it once."""
    series = Counter((each.name, *sorted(each.labels.items())) for family in families for each in family.samples)
    twice = sorted({str(key[0]) for key, times in series.items() if times > 1})
    if twice:
        found = f"series are there twice, which Prometheus refuses: {', '.join(twice[:_LIMIT])}"
        remedy = "two instruments share a name: rename one, or report it"
        return step(result=Result.FINDING, found=found, cause="scrape_duplicates", remedy=remedy)
    return step(result=Result.OK, found=f"{len(series)} series, each of them once", facts={"series": len(series)})


def _accounts(client: Client, families: Iterable[Metric], summary: Mapping[str, Any]) -> Iterator[Step]:
    """Yield the step that checks received = discarded + processed + in flight, in the scrape and in the summary."""
    step = partial(
        Step,
        id="endpoint.accounts",
        title="The accounts of events add up",
        tried=f"added up {client.shown}/metrics and /summary by source",
    )
    received, *gone = (
        _by_source(families, name)
        for name in (
            ingest.RECEIVED.prometheus_name,
            ingest.DISCARDED.prometheus_name,
            f"{ingest.EVENT_DURATION.prometheus_name}_count",
            ingest.IN_FLIGHT.prometheus_name,
        )
    )
    if not received or not gone[-1]:
        yield step(result=Result.SKIPPED, found="no events are counted yet, or metrics of the group business are off")
        return
    off = {source: int(count - sum(each[source] for each in gone)) for source, count in received.items()}
    off = {source: difference for source, difference in off.items() if difference}
    total = ((summary.get("accounts") or {}).get("total") or {}).get("difference") or 0
    if not off and not total:
        found = f"{sum(received.values()):,.0f} events received; every one is discarded, processed or in flight"
        yield step(result=Result.OK, found=found, facts={"received": sum(received.values())})
        return
    differences = [f"{amount:+,} of source {source}" for source, amount in off.items()]
    yield step(
        result=Result.FINDING,
        found="received less discarded, processed and in flight is not 0: "
        + scrub(", ".join(differences) or f"{total:+,} in the summary"),
        cause="accounts_differ",
        remedy="an event must be received once, and end once, by discard() or by measured work: check the calls",
        facts={"by_source": off, "summary": total},
    )


def _by_source(families: Iterable[Metric], name: str) -> Counter[str]:
    label = ingest.SOURCE.prometheus_label
    found: Counter[str] = Counter()
    for family in families:
        for sample in family.samples:
            if sample.name == name:
                found[sample.labels.get(label, "")] += int(sample.value)
    return found


def _problems(client: Client, families: Iterable[Metric]) -> Iterator[Step]:
    """Yield the step about measurements that could not be recorded as given."""
    step = partial(
        Step,
        id="endpoint.problems",
        title="Measurements are recorded as given",
        tried=f"looked for {runtime.RECORDING_PROBLEMS.prometheus_name} in {client.shown}/metrics",
    )
    labels = (runtime.INSTRUMENT.prometheus_label, runtime.PROBLEM.prometheus_label)
    found: Counter[str] = Counter()
    for family in families:
        for sample in family.samples:
            if sample.name == runtime.RECORDING_PROBLEMS.prometheus_name and sample.value:
                instrument, problem = (sample.labels.get(label, "") for label in labels)
                found[f"{problem} of {instrument}"] += int(sample.value)
    if not found:
        yield step(result=Result.OK, found="no problem since the service started")
        return
    yield step(
        result=Result.FINDING,
        found=scrub(", ".join(f"{name}: {times:,}" for name, times in found.most_common(_LIMIT))),
        cause="recording_problems",
        remedy="the service's log has the first one of each kind; docs/troubleshooting.md explains them",
        facts={"problems": dict(found)},
    )
