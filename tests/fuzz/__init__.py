"""Damaged input for every reader: ``python -m tests.fuzz`` (docs/explanation/robustness.md).

A case is a number: reader, seed and number make its bytes again. A case passes if the reader ends
with a value that holds what the reader promises, or with an error of ours; not with another error,
a crash, a hang, or a need for more memory than is allowed.
"""
