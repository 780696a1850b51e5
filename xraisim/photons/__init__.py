"""Photons: what each pulse met (shots), what to expect of it (λ: expected), and the draw.

k ~ Poisson(λ) is in ``draw``, compiled, and in ``torch_draw``, for a GPU.
"""
