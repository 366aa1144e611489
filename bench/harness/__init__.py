"""Runs programs side by side and measures them."""
