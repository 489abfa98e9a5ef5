"""Nodes of the sandbox that run their pods for real, as processes of this machine."""
