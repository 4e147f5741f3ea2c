"""`frt api-check`: every method of a live service, called with real effects, every answer held to its schema."""
