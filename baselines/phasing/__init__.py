"""Phase retrieval: from the intensity |F(s)|² of a particle to its density.

A density is sought that lies in two sets at once: those with the measured amplitudes
(:mod:`.projections`, Fourier side) and those that are positive and vanish outside a support
(:mod:`.projections`, real side). :mod:`.iterate` walks between the two, :mod:`.support` shrinks the
support on the way, :mod:`.run` starts several times from random densities and averages what agrees,
and :mod:`.prtf` says how far it agrees.
"""
