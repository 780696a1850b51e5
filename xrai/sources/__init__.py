"""Where patterns come from: files whole or still growing, the simulator, or another process."""
