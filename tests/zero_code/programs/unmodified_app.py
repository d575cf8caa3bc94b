"""An AppDaemon app that knows nothing of OpenTelemetry."""

import appdaemon.plugins.hass.hassapi as hass


class Lights(hass.Hass):
    def initialize(self):
        self.listen_state(self.changed, "light")
        self.log("listening")

    def changed(self, entity, attribute, old, new, **kwargs):
        self.log(f"{entity} is {new}")
