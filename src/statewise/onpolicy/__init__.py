"""On-policy methods: what they share is `core`, what tells them apart is one `Improvement` a file."""
