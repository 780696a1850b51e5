"""X-RAI: online, amortised reconstruction of single-particle X-ray diffraction."""

import xraisim  # noqa: F401  (before torch: it sets how threads wait)
