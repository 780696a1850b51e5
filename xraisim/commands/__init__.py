"""The commands of ``xrai-sim``, as functions for typer."""
