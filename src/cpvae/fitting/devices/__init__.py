"""What makes a step fast: processes, recorded steps, parameters as one vector, memory kept."""
