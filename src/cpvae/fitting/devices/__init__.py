"""Ways to make a step fast: processes, recorded steps, parameters as one vector, memory kept."""
