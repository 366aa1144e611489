"""`cargo xtask report`: what a rekey job has made of what landed, as one HTML file."""
