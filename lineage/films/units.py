"""Units that film files name: lengths in micrometres, times in seconds."""

from __future__ import annotations

_LENGTH = {
    1e-4: ("angstrom", "å"),
    1e-3: ("nanometer", "nanometre", "nm"),
    1.0: ("micrometer", "micrometre", "micron", "microns", "um", "µm", "μm", "\\u00b5m"),
    1e3: ("millimeter", "millimetre", "mm"),
    1e4: ("centimeter", "centimetre", "cm"),
    1e6: ("meter", "metre", "m"),
}
_TIME = {
    1e-3: ("millisecond", "milliseconds", "ms", "msec"),
    1.0: ("second", "seconds", "s", "sec"),
    60.0: ("minute", "minutes", "min"),
    3600.0: ("hour", "hours", "h", "hr"),
    86400.0: ("day", "days", "d"),
}
MICROMETRES = {name: factor for factor, names in _LENGTH.items() for name in names}
SECONDS = {name: factor for factor, names in _TIME.items() for name in names}


def micrometres(value: float, unit: str | None) -> float:
    """A length in micrometres; unchanged when the unit is not known."""
    return value * MICROMETRES.get((unit or "").strip().lower(), 1.0)


def seconds(value: float, unit: str | None) -> float:
    """A time in seconds; unchanged when the unit is not known."""
    return value * SECONDS.get((unit or "").strip().lower(), 1.0)
