"""Two tables in CSV: products, and the electric vehicles of a state."""
