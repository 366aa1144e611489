"""One's own files on the local cloud: looked at, landed, and what became of them."""
