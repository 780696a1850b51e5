"""Commands of ``xrai-baseline`` that have a file of their own."""
