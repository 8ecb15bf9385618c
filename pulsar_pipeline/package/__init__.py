"""`functions/NAME` in, a deterministic archive out; and the archive's own description. Called by rollout, runtime, cli."""
