"""Motion: where cells are expected in the next frame, from how the whole field moves or from what the pictures show."""

from .field import Motion, expecting, field_motion
from .flow import Flow, optical_flow

__all__ = ["Flow", "Motion", "expecting", "field_motion", "optical_flow"]
