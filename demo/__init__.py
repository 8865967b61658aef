"""A demonstration of the tracker: good and bad workers drain a queue over HTTP. `make demo` runs it."""
