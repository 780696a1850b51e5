"""How loops are compiled: one decorator, so that every one has the same arithmetic and cache."""

from collections.abc import Callable
from typing import Any

from numba import njit

# Products may be fused, quotients and roots approximated to their last bits, and sums regrouped:
# else no loop becomes vector instructions. What is not a number stays so (``fastmath=True`` would
# let the compiler assume that there is none).
_FAST, _REGROUPED = {"contract", "arcp", "afn", "nsz"}, {"reassoc"}


def compiled(
    function: Callable[..., Any] | None = None,
    *,
    fast: bool = False,
    ordered: bool = False,
    parallel: bool = False,
    inline: bool = False,
    nogil: bool = False,
) -> Any:
    """Compile a loop by numba and keep it on disk: ``@compiled`` or ``@compiled(fast=True, …)``.

    ``fast``: operations may be reordered, so the last bits may depend on the processor; without it
    the result is the same everywhere. ``ordered``: of a fast loop, sums keep their order.
    ``parallel``: ``prange`` runs on all threads. ``inline``: copied into its callers. ``nogil``:
    other Python threads run meanwhile, for loops that one thread at a time calls, or that are not
    parallel. A division by zero is infinite, never an error, and no index is checked: the function
    in front of a loop checks its arguments.
    """
    made = njit(
        cache=True,
        error_model="numpy",
        fastmath=(_FAST if ordered else _FAST | _REGROUPED) if fast else False,
        parallel=parallel,
        nogil=nogil,
        inline="always" if inline else "never",
    )
    return made if function is None else made(function)
