"""Names of before: taken for one release, with a notice that says today's.

The notice is a :class:`RenamedWarning`, which the commands print as a line of their own.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from xraisim.core.errors import ConfigError


class RenamedWarning(UserWarning):
    """Something was given under the name that it had in the release before."""


def renewed(
    given: Mapping[str, Any], former: Mapping[str, str], prefix: str = ""
) -> dict[str, Any]:
    """Return ``given`` with keys under their names of today; ``former``: old names → today's.

    ``prefix`` stands before a name in messages. Raises :class:`ConfigError` where something is
    given under both names.
    """
    found = {key: value for key, value in given.items() if key not in former}
    for old in [key for key in given if key in former]:
        name = former[old]
        if name in found:
            raise ConfigError(
                f"{prefix}{old} and {prefix}{name} are given, and are the same; leave out the first"
            )
        warnings.warn(
            f"{prefix}{old} is called {prefix}{name} now; the old name is taken for one release",
            RenamedWarning,
            stacklevel=3,
        )
        found[name] = given[old]
    return found
