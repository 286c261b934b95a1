"""What versions score in production, recorded and compared with their reference data."""
