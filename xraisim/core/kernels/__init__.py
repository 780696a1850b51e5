"""Compiled loops of the core's modules, by their names; :mod:`.compiled` compiles everybody's."""
