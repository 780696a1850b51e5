"""Classical algorithms: expand-maximize-compress (EMC) and phase retrieval."""

import xraisim  # noqa: F401  (before torch: it sets how threads wait)
