"""An AppDaemon app that measures its callback."""

import appdaemon.plugins.hass.hassapi as hass

from otel_ha import measured, setup_telemetry
from otel_ha.vocabulary import ingest


class Lights(hass.Hass):
    def initialize(self):
        self.telemetry = setup_telemetry("lights")
        self.listen_state(self.changed, "light")
        self.log("listening")

    @measured(ingest.EVENT, source="websocket", entity=lambda _, entity, *__, **___: entity)
    def changed(self, entity, attribute, old, new, **kwargs):
        if new == "broken":
            raise ValueError(f"{entity} is broken")
        self.log(f"{entity} is {new}")

    def terminate(self):
        self.telemetry.shutdown()
