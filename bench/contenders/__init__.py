"""Who is compared at rekey, and on what."""
