"""The verbs as a library, each with all of its own logic: render, lock, plan, build, publish, review."""
