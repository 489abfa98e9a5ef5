"""Stands in for the Prometheus operator: what is rendered for it becomes a running Prometheus."""
