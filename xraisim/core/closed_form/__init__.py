"""The likeliest volume of sums of photons and exposure, in closed form."""

from xraisim.core.closed_form.config import ClosedFormConfig
from xraisim.core.closed_form.volume import for_look_up, volume_from_sums

__all__ = ["ClosedFormConfig", "for_look_up", "volume_from_sums"]
