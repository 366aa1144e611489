"""What is asked of deployed functions, on whichever cloud the environment names."""
