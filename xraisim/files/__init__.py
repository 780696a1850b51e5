"""Pattern, truth and volume files: written whole, in shards, resumed; read."""
