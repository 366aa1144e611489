"""An account that the end-to-end tests run in, and in which they leave nothing."""
