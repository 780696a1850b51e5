"""From a start to the last round: which round comes next, and how one is worked through."""
