"""One adapter per engine. Each is imported only inside the environment of its engine."""
