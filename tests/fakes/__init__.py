"""In-process stand-ins for what is outside: they behave, and fail when they are told to."""
