"""HTTP around the service: connections and their limits, proxies, middleware."""
