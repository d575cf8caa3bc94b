"""Units: from UCUM to the identifiers of Grafana, and to the texts behind the numbers of VictoriaMetrics' page."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["PlainUnit", "grafana_unit", "plain_unit"]

_GRAFANA: Final = {
    "1": "percentunit",
    "%": "percent",
    "ns": "ns",
    "us": "µs",
    "ms": "ms",
    "s": "s",
    "min": "m",
    "h": "h",
    "d": "d",
    "bit": "bits",
    "By": "bytes",
    "KiBy": "kbytes",
    "MiBy": "mbytes",
    "GiBy": "gbytes",
    "kBy": "deckbytes",
    "MBy": "decmbytes",
    "GBy": "decgbytes",
    "bit/s": "bps",
    "By/s": "binBps",
    "Hz": "hertz",
    "V": "volt",
    "mV": "mvolt",
    "A": "amp",
    "mA": "mamp",
    "Ohm": "ohm",
    "W": "watt",
    "kW": "kwatt",
    "W.h": "watth",
    "kW.h": "kwatth",
    "J": "joule",
    "Cel": "celsius",
    "[degF]": "fahrenheit",
    "K": "kelvin",
    "Pa": "pressurepa",
    "hPa": "pressurehpa",
    "kPa": "pressurekpa",
    "bar": "pressurebar",
    "mbar": "pressurembar",
    "mm": "lengthmm",
    "cm": "lengthcm",
    "m": "lengthm",
    "km": "lengthkm",
    "m/s": "velocityms",
    "km/h": "velocitykmh",
    "m/s2": "accMS2",
    "g": "massg",
    "kg": "masskg",
    "l": "litre",
    "L": "litre",
    "mL": "mlitre",
    "m3": "m3",
    "l/min": "flowlpm",
    "lx": "lux",
    "dB": "dB",
    "[ppm]": "ppm",
    "deg": "degree",
    "ug/m3": "conμgm3",
}


class PlainUnit(NamedTuple):
    """The text behind a number, and the factor by which the number is multiplied, or else divided."""

    text: str
    times: int = 1
    per: int = 1


_PLAIN: Final = {
    "1": PlainUnit("%", times=100),
    "By": PlainUnit("MiB", per=2**20),
    "By/s": PlainUnit("KiB/s", per=2**10),
    "Cel": PlainUnit("°C"),
    "[degF]": PlainUnit("°F"),
    "us": PlainUnit("µs"),
    "KiBy": PlainUnit("KiB"),
    "MiBy": PlainUnit("MiB"),
    "GiBy": PlainUnit("GiB"),
}
_SHORT: Final = {"s": PlainUnit("ms", times=1000)}
_LARGE: Final = {"By": PlainUnit("GiB", per=2**30), "s": PlainUnit("h", per=3600)}


def grafana_unit(unit: str) -> str:
    """Return Grafana's identifier; a unit that Grafana does not know is written behind the number."""
    if unit in _GRAFANA:
        return _GRAFANA[unit]
    whole, _, per = unit.rpartition("/")
    if unit == "/s" or (per == "s" and _is_count(whole)):
        return "count:/s"
    return "short" if _is_count(unit) else f"suffix:{_plain_text(unit)}"


def plain_unit(unit: str, *, short: bool = False, large: bool = False) -> PlainUnit:
    """Return the text behind the numbers of a page that does not know units: none for things.

    `short` times are in ms; `large` ones are in hours, and large sizes in GiB.
    """
    known = {**_PLAIN, **(_SHORT if short else {}), **(_LARGE if large else {})}
    if unit in known:
        return known[unit]
    return PlainUnit("" if _is_count(unit) else _plain_text(unit))


def _is_count(unit: str) -> bool:
    return unit.startswith("{") and unit.endswith("}")


def _plain_text(unit: str) -> str:
    """Return a unit without the braces of UCUM's annotations: "{event}/s" becomes "/s"."""
    whole, slash, per = unit.rpartition("/")
    return f"/{per}" if slash and (not whole or _is_count(whole)) else unit.replace("{", "").replace("}", "")
