"""Regions that live on this machine: real control planes, simulated nodes, a local AWS."""
