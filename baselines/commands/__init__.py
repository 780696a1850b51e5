"""Commands of ``xrai-baseline``, one module each."""
