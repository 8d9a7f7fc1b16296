"""Webhooks: their configuration, their queue on disk, their forms and signatures, and the client that posts them."""
