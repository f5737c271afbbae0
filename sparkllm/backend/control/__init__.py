"""The control channel: engine servers report to a service in the driver and lease what a query may spend from it."""
