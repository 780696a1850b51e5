"""Errors that a user can act on: each says what was found, what was expected, what to do next."""


class UserError(ValueError):
    """Bad input or a condition outside the program; commands print it and exit with code 2."""


class ConfigError(UserError):
    """A configuration key or value that cannot be used."""


class StructureError(UserError):
    """A structure that cannot be found, fetched or read."""


class FormatError(UserError):
    """A file that is not what it should be: wrong format, truncated, or with impossible values."""


class SamplingError(UserError):
    """A grid or a detector too coarse, or too small, for what is asked of it."""


class DivergedError(UserError):
    """A calculation that has run away: what came out is not finite, or no rotation."""


class DeviceError(UserError):
    """A compute device that is not there."""


class DiskError(UserError):
    """A file that cannot be written: the disk is full, or the directory is forbidden."""
