"""The type checker that the tests put around every function: a whole number is a number, too."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
