"""The event loop in front: it holds the connections, so that slow, idle and waiting clients occupy no thread."""
