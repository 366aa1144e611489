"""Tests of the benchmark itself: that it accepts right outputs, and no others."""
