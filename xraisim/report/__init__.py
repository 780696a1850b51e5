"""One page about a result, anybody's: from its directory (:mod:`.run`) to panels and HTML.

A method adds panels of its own, plain functions of a :class:`~xraisim.report.run.Run`; see
:class:`~xraisim.report.page.MethodPanels`.
"""
