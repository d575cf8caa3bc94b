"""The earlier settings: where they are read from, and the settings of today that they become."""

import pytest

from otel_ha import ConfigError
from otel_ha.compat.settings import MonitoringSettings


def today(config: dict | None = None, **environ: str):
    return MonitoringSettings.of(config or {}, environ).telemetry_config(environ)


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("MONITORING_ENABLED", "false", "enabled", False),
        ("MONITORING_INTERVAL", "7.5", "export_interval", 7.5),
        ("MONITORING_INTERVAL", "7.5", "history_interval", 7.5),
        ("ENABLE_SYSTEM_METRICS", "false", "system_metrics", False),
        ("ENABLE_PERFORMANCE_METRICS", "False", "performance_metrics", False),
        ("ENABLE_BUSINESS_METRICS", "false", "business_metrics", False),
        ("ENABLE_PROMETHEUS_INTEGRATION", "false", "metrics_exporters", ("otlp",)),
        ("ENABLE_PROMETHEUS_INTEGRATION", "true", "metrics_exporters", ("otlp", "prometheus")),
    ],
)
def test_an_earlier_variable_and_argument_is_a_setting_of_today(variable, value, name, expected):
    assert getattr(today(**{variable: value}), name) == expected
    assert getattr(today({variable.lower(): value}), name) == expected


@pytest.mark.parametrize(
    ("variable", "earlier", "name", "expected"),
    [
        ("OTEL_SDK_DISABLED=false", "MONITORING_ENABLED=false", "enabled", True),
        ("OTEL_METRIC_EXPORT_INTERVAL=5000", "MONITORING_INTERVAL=7", "export_interval", 5.0),
        ("OTEL_HA_SYSTEM_METRICS=true", "ENABLE_SYSTEM_METRICS=false", "system_metrics", True),
        (
            "OTEL_METRICS_EXPORTER=prometheus",
            "ENABLE_PROMETHEUS_INTEGRATION=false",
            "metrics_exporters",
            ("prometheus",),
        ),
    ],
)
def test_a_variable_of_today_beats_an_earlier_one(variable, earlier, name, expected):
    environ = dict(each.split("=") for each in (variable, earlier))
    assert getattr(today(**environ), name) == expected


def test_a_variable_of_today_beats_an_earlier_one_for_its_own_setting_only():
    found = today(OTEL_METRIC_EXPORT_INTERVAL="5000", MONITORING_INTERVAL="7")
    assert (found.export_interval, found.history_interval) == (5.0, 7.0)


def test_an_argument_beats_every_variable():
    found = today({"monitoring_interval": 3}, MONITORING_INTERVAL="7", OTEL_METRIC_EXPORT_INTERVAL="5000")
    assert found.export_interval == 3.0


def test_without_any_the_defaults_are_those_of_today():
    assert today() == type(today())(environ={})


def test_other_settings_of_a_configuration_are_left_alone():
    assert today({"sync_interval": "often", "mqtt_host": "example.org"}).export_interval == 30.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"monitoring_interval": "often"}, "monitoring_interval is 'often'; allowed: seconds from 0.1 to 86400"),
        ({"monitoring_interval": -1}, "monitoring_interval is -1; allowed: seconds"),
        ({"enable_system_metrics": "perhaps"}, "enable_system_metrics is 'perhaps'; allowed: true or false"),
        ({"metrics_sync_interval": 0}, "metrics_sync_interval is 0; allowed: seconds"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(given, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        MonitoringSettings.of(given, {})


def test_an_earlier_variable_may_be_written_in_any_case():
    assert today(monitoring_interval="7.5", Enable_System_Metrics="false").export_interval == 7.5
    assert today(enable_system_metrics="false").system_metrics is False


def test_of_two_spellings_the_one_in_capitals_counts():
    assert today(monitoring_interval="7", MONITORING_INTERVAL="8").export_interval == 8.0


class TestTheEnvFile:
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path, monkeypatch):
        self.path = tmp_path / ".env"
        monkeypatch.chdir(tmp_path)

    def test_its_earlier_settings_count_in_any_case(self):
        self.path.write_text("MONITORING_INTERVAL=7.5  # seconds\nexport enable_business_metrics='false'\n")
        found = MonitoringSettings.of({}).telemetry_config()
        assert (found.export_interval, found.business_metrics) == (7.5, False)

    def test_the_environment_beats_it(self, monkeypatch):
        self.path.write_text("MONITORING_INTERVAL=7.5\n")
        monkeypatch.setenv("monitoring_interval", "8")
        assert MonitoringSettings.of({}).monitoring_interval == 8.0

    def test_its_other_variables_are_left_alone(self):
        self.path.write_text("OTEL_SERVICE_NAME=other\nINFLUXDB_TOKEN=secret\n")
        assert MonitoringSettings.of({}).telemetry_config({}).service_name is None

    def test_a_wrong_value_in_it_is_an_error_that_names_the_variable(self):
        self.path.write_text("MONITORING_ENABLED=perhaps\n")
        with pytest.raises(ConfigError, match=r"^MONITORING_ENABLED is 'perhaps'; allowed: true or false$"):
            MonitoringSettings.of({})

    def test_one_that_cannot_be_read_is_a_warning(self, caplog):
        self.path.write_bytes(b"MONITORING_INTERVAL=\xff\n")
        assert MonitoringSettings.of({}).monitoring_interval == 30.0
        assert "the earlier settings in " in caplog.text

    def test_a_working_directory_that_is_gone_has_none(self, tmp_path, monkeypatch):
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        assert MonitoringSettings.of({}).monitoring_interval == 30.0


def test_a_wrong_variable_is_an_error_that_names_it():
    with pytest.raises(ConfigError, match=r"^MONITORING_ENABLED is 'perhaps'; allowed: true or false$"):
        MonitoringSettings.of({}, {"MONITORING_ENABLED": "perhaps"})
