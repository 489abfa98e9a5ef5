"""The example model: trained here, published to the sandbox's registries, asked by a person."""
