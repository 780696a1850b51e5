"""Mathematics shared by simulator, reconstructors and scoring: numpy, torch and numba only.

Conventions (DESIGN: one page, once):

- **s** is the scattering vector, |s| = 2 sin(θ/2)/λ = 1/d in Å⁻¹, without 2π.
- Lab frame: z downstream along the beam, y up, x completes a right-handed frame.
- An orientation is a unit quaternion (w, x, y, z): the active rotation R of the particle in the
  lab, so that pattern(s) = V(Rᵀ s).
- Volumes are cubes of odd size G, indexed [x, y, z], with s = 0 (or r = 0) at voxel G // 2.
"""
