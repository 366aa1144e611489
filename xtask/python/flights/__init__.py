"""The demo's data: the flights that left New York City in 2013, as Firehose would land them."""
