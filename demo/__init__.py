"""The tracker at work: real workers, good and bad, drain a queue over HTTP. `make demo` runs it."""
