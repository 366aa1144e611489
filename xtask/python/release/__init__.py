"""What is handed to those who deploy without the repository."""
