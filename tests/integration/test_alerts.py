"""Alerts, as Prometheus and VictoriaMetrics evaluate them over the series of faults, by every way in."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from otel_ha.render.alerts.groups import alerts_by_group, render_alerts
from otel_ha.render.alerts.thresholds import THRESHOLDS
from otel_ha.render.catalogs import service_catalogs, united
from tests.alert_scenarios import SCENARIOS, SPECIAL, Case, Expected, Scenario, Series
from tests.servers.fixtures import needed
from tests.servers.locate import ROOT

CATALOG = united(service_catalogs())
HEALTHY, DISTURBED, FAULT_ENDS, END = 30, 75, 130, 170
BEFORE, FIRING, LATER = HEALTHY - 1, FAULT_ENDS - 2, END - 1
GAP, OUTAGE = 3, 8
FILE = ROOT / "collector-config" / "prometheus" / "otel_ha.alerts.yml"

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


class Way(NamedTuple):
    """The labels that a way to Prometheus adds, and the instance of a service before and after a restart."""

    name: str
    labels: Mapping[str, str]
    instances: tuple[str, str]


SCRAPE = Way("scrape", {"via": "scrape"}, ("pi:9464", "pi:9464"))
COLLECTOR = Way("collector", {"via": "collector"}, ("uuid-1", "uuid-2"))
OTLP = Way("otlp", {"host_name": "pi"}, ("uuid-1", "uuid-2"))
VICTORIA = Way("victoria", {}, ("uuid-1", "uuid-2"))
SERVER = Way("server", {}, ("pi:8888", "pi:8888"))

Level = Callable[[Series], "float | None"]
Value = float | str | None


def below(series: Series) -> float | None:
    return series.below


def above(series: Series) -> float | None:
    return series.above


def values(series: Series, fault: Level) -> list[Value]:
    """Return the samples of a series that is healthy, in a fault, and healthy again."""
    found: list[Value] = []
    total = 0.0
    for step in range(END):
        level = fault(series) if HEALTHY <= step < FAULT_ENDS else series.healthy
        if level is not None and series.counter:
            total += level
            found.append(round(total, 6))
        else:
            found.append(level)
    return ending_stale(found)


def ending_stale(samples: list[Value]) -> list[Value]:
    """Return the samples with a staleness marker where a series ends, as a scrape has it."""
    return [
        "stale" if value is None and isinstance(samples[step - 1], float | int) and step else value
        for step, value in enumerate(samples)
    ]


def reset(series: Series, samples: list[Value]) -> list[Value]:
    """Return the samples of a process that starts again at DISTURBED, as the same instance."""
    if not series.counter:
        return samples
    base = samples[DISTURBED - 1]
    assert isinstance(base, float | int)
    return [value - base if step >= DISTURBED else value for step, value in enumerate(samples)]  # type: ignore[operator]


def text(samples: Iterable[Value]) -> str:
    return " ".join("_" if value is None else value if isinstance(value, str) else f"{value:.10g}" for value in samples)


def spelt(name: str, labels: Mapping[str, str]) -> str:
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


class Written(NamedTuple):
    """Series for promtool, and whether their alert fires during the fault."""

    job: str
    series: list[dict[str, str]]
    fires: bool


def undisturbed(scenario: Scenario, job: str, ways: Sequence[Way], fault: Level, *, fires: bool) -> Written:
    return Written(job, [line(each, job, way, values(each, fault)) for way in ways for each in scenario.series], fires)


def line(series: Series, job: str, way: Way, samples: list[Value], instance: int = 0) -> dict[str, str]:
    labels = {"job": job, "instance": way.instances[instance], **way.labels, **series.labels}
    return {"series": spelt(series.name, labels), "values": text(samples)}


def reset_counters(scenario: Scenario, job: str, way: Way, fault: Level, *, fires: bool) -> Written:
    return Written(job, [line(each, job, way, reset(each, values(each, fault))) for each in scenario.series], fires)


def new_instance(scenario: Scenario, job: str, way: Way, fault: Level, *, fires: bool) -> Written:
    """A push after a restart: all series end, and others begin."""
    found = []
    for each in scenario.series:
        samples = values(each, fault)
        old: list[Value] = [*samples[:DISTURBED], *([None] * (END - DISTURBED))]
        new: list[Value] = [*([None] * DISTURBED), *reset(each, samples)[DISTURBED:]]
        found += [line(each, job, way, old), line(each, job, way, new, 1)]
    return Written(job, found, fires)


def missing(scenario: Scenario, job: str, way: Way, fault: Level, steps: int, *, fires: bool) -> Written:
    """Samples are missing; in an outage a scrape marks the series as stale."""
    found = []
    for each in scenario.series:
        samples = values(each, fault)
        gone: list[Value] = [*samples[:DISTURBED], *([None] * steps), *samples[DISTURBED + steps :]]
        found.append(line(each, job, way, ending_stale(gone) if steps == OUTAGE else gone))
    return Written(job, found, fires)


def written(scenario: Scenario, number: int) -> list[Written]:
    """Return the scenario above and below the threshold, by each way in, and with each disturbance."""
    ways = [SERVER] if scenario.server else [SCRAPE, COLLECTOR, OTLP, VICTORIA]
    scraped, pushed = ways[0], ways[-1]
    found = []
    for name, level, fires in (("above", above, True), ("below", below, False)):
        job = f"{name}-{number}"
        found += [undisturbed(scenario, f"{job}-{way.name}", [way], level, fires=fires) for way in ways]
        found.append(reset_counters(scenario, f"{job}-reset", scraped, level, fires=fires))
        found.append(missing(scenario, f"{job}-gap", scraped, level, GAP, fires=fires))
        found.append(missing(scenario, f"{job}-outage", scraped, level, OUTAGE, fires=fires))
        if not scenario.server:
            found.append(undisturbed(scenario, f"{job}-all-ways", [SCRAPE, COLLECTOR, OTLP], level, fires=fires))
            found.append(new_instance(scenario, f"{job}-new-instance", pushed, level, fires=fires))
    return found


def shown(text: str, labels: Mapping[str, str], value: str) -> str:
    """Return the text of an annotation as a notification has it."""
    # A label that may be missing, and the words before it.
    text = re.sub(
        r"\{\{ with \$labels\.(\w+) \}\}(.*?)\{\{ \. \}\}\{\{ end \}\}",
        lambda found: found[2] + labels[found[1]] if labels.get(found[1]) else "",
        text,
    )
    text = re.sub(r'\{\{ (printf "%.0f" )?\$value( \| \w+)? \}\}', value, text)
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)


def expected(rule: Mapping[str, Any], labels: Mapping[str, str], value: str) -> dict[str, Any]:
    return {
        "exp_labels": {**labels, **rule["labels"]},
        "exp_annotations": {key: shown(text, labels, value) for key, text in rule["annotations"].items()},
    }


def cases_of(rule: Mapping[str, Any], *, brief: bool = False) -> list[dict[str, Any]]:
    """Return promtool's tests of one alert; brief ones have one way in, and no disturbance."""
    name = rule["alert"]
    found = [
        evaluated(rule, scenario, undisturbed_only(scenario) if brief else written(scenario, number))
        for number, scenario in enumerate(each for each in SCENARIOS if each.alert == name)
    ]
    return found + [special(rule, case) for case in SPECIAL if case.alert == name]


def undisturbed_only(scenario: Scenario) -> list[Written]:
    way = SERVER if scenario.server else SCRAPE
    return [
        undisturbed(scenario, "above", [way], above, fires=True),
        undisturbed(scenario, "below", [way], below, fires=False),
    ]


def evaluated(rule: Mapping[str, Any], scenario: Scenario, cases: Sequence[Written]) -> dict[str, Any]:
    firing = [expected(rule, {"job": each.job, **scenario.labels}, scenario.shown) for each in cases if each.fires]
    return {
        "interval": scenario.step,
        "name": f"{scenario.alert} {scenario.series[0].name}",
        "input_series": [series for case in cases for series in case.series],
        "alert_rule_test": [
            {"eval_time": at(scenario.step, step), "alertname": scenario.alert, "exp_alerts": alerts}
            for step, alerts in ((BEFORE, []), (FIRING, firing), (LATER, []))
        ],
        "promql_expr_test": [
            ever(scenario.step, {each.job for each in cases if each.fires}),
            all_along(scenario.step, {each.job for each in cases if each.fires and not each.job.endswith("-outage")}),
        ],
    }


def ever(step: str, jobs: set[str]) -> dict[str, Any]:
    """Return the check that an alert has fired for these jobs and for no other at any time."""
    fired = f'group by (job) (count_over_time(ALERTS{{alertstate="firing"}}[{at(step, END)}]))'
    samples = [{"labels": spelt("", {"job": job}), "value": 1} for job in sorted(jobs)]
    return {"expr": fired, "eval_time": at(step, END), "exp_samples": samples}


def all_along(step: str, jobs: set[str]) -> dict[str, Any]:
    """Return the check that an alert does not stop firing for these jobs around their disturbance."""
    around = 12
    fired = f'count_over_time(ALERTS{{alertstate="firing", job!~".*-outage"}}[{at(step, around)}])'
    samples = [{"labels": spelt("", {"job": job}), "value": around} for job in sorted(jobs)]
    return {
        "expr": f"max by (job) ({fired})",
        "eval_time": at(step, DISTURBED + around - 2),
        "exp_samples": samples,
    }


def at(step: str, steps: int) -> str:
    return f"{seconds(step) * steps}s"


def seconds(step: str) -> int:
    return int(step[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[step[-1]]


def special(rule: Mapping[str, Any], case: Case) -> dict[str, Any]:
    def alerts(wanted: Expected) -> list[dict[str, Any]]:
        job = {"job": case.job} if case.job else {}
        return [expected(rule, {**job, **wanted.labels}, wanted.shown)] if wanted.fires else []

    return {
        "interval": case.step,
        "name": f"{case.alert}: {case.name}",
        "input_series": [{"series": series, "values": samples} for series, samples in case.series.items()],
        "alert_rule_test": [
            {"eval_time": time, "alertname": case.alert, "exp_alerts": alerts(wanted)}
            for time, wanted in case.expected.items()
        ],
    }


def rules_of(text: str) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]}


def write_tests(directory: Path, rule: Mapping[str, Any], tests: list[dict[str, Any]]) -> Path:
    """Write the rule and its tests, by itself, so that other alerts on the same series do not disturb."""
    rules, file = directory / f"{rule['alert']}.rules.yml", directory / f"{rule['alert']}.test.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [dict(rule)]}]}), encoding="utf-8")
    step = min((test["interval"] for test in tests), key=seconds)
    content = {"rule_files": [str(rules)], "evaluation_interval": step, "fuzzy_compare": True, "tests": tests}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def write_victoria_tests(directory: Path, rule: Mapping[str, Any], tests: list[dict[str, Any]]) -> None:
    """Write the same tests for vmalert-tool, which names the group and has no expressions of PromQL."""
    file = write_tests(directory, rule, tests)
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    del content["fuzzy_compare"]
    for test in content["tests"]:
        test.pop("promql_expr_test", None)
        for each in test["alert_rule_test"]:
            each["groupname"] = "g"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([needed("promtool"), *arguments], capture_output=True, text=True, check=False)


RULES = rules_of(render_alerts(CATALOG))
OURS = [name for name in RULES if not name.startswith("Objective")]


def test_each_alert_fires_above_its_threshold_only_and_resolves(tmp_path):
    files = [write_tests(tmp_path, RULES[name], cases_of(RULES[name])) for name in OURS]
    done = promtool("test", "rules", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_victoria_metrics_evaluates_them_alike(tmp_path):
    for name in OURS:
        write_victoria_tests(tmp_path, RULES[name], cases_of(RULES[name]))
    command = [needed("vmalert-tool"), "unittest", f"--files={tmp_path}/*.test.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_and_vmalert_load_the_file():
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", FILE)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    dry = subprocess.run([needed("vmalert"), "-dryRun", f"-rule={FILE}"], capture_output=True, text=True, check=False)
    assert dry.returncode == 0, dry.stderr


def test_each_alert_has_a_scenario():
    covered = {each.alert for each in (*SCENARIOS, *SPECIAL)}
    assert set(OURS) == covered


def compared() -> list[tuple[str, str]]:
    """Return each alert with each threshold that it compares with."""
    alerts = {alert.name: alert for alerts in alerts_by_group(CATALOG).values() for alert in alerts}
    return [
        (name, threshold)
        for name, alert in alerts.items()
        for threshold in dict.fromkeys(re.findall(r"(?:>=?|<) <(\w+)>", alert.expr))
        # The alert on a sink is left out of the alert on events, and is tested by itself.
        if name in OURS and (name, threshold) != ("EventsNotProcessed", "failed_writes")
    ]


def changes(name: str) -> list[str]:
    """Return settings of a threshold that are somewhat lower and higher than its value."""
    threshold = next(each for each in THRESHOLDS if each.name == name)
    if threshold.kind == "duration":
        value = seconds(threshold.value)
        return [f"{name}={value * 750}ms", f"{name}={value * 1250}ms"]
    value = float(threshold.value)
    if not value:
        return [f"{name}=1000"]
    if threshold.kind == "share":
        return [f"{name}={value * 0.75}", f"{name}={min(value * 1.25, 1.0)}"]
    step = max(value / 4, 1.0)
    return [f"{name}={value - step}", f"{name}={value + step}"]


def test_these_tests_fail_with_somewhat_lower_and_higher_thresholds(tmp_path):
    files = {}
    for alert, threshold in compared():
        for change in changes(threshold):
            directory = tmp_path / f"{alert}-{change}"
            directory.mkdir()
            rule = rules_of(render_alerts(CATALOG, [change]))[alert]
            words = {key: RULES[alert]["annotations"][key] for key in rule["annotations"]}
            files[write_tests(directory, {**rule, "annotations": words}, cases_of(RULES[alert], brief=True))] = (
                alert,
                change,
            )
    printed = promtool("test", "rules", *files).stdout
    passed = re.findall(r"Processing test file: (\S+)\s+SUCCESS", printed)
    assert not [files[Path(each)] for each in passed]
