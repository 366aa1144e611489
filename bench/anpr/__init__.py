"""Number-plate sightings: the records that the benchmarks are about."""
