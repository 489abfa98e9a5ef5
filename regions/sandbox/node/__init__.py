"""A region's own machines: each is a network namespace with a kubelet and all that it needs.

Nothing here knows Pulumi or the regions' profiles. `network` says which addresses there are and
makes the namespaces, `certificates` lets the parts trust each other, `machine` says what runs on a
machine, `init` is what runs it, as process 1 of a PID namespace: when it ends, all of it ends.
"""
