"""The command service: a request in, checked and routed; a reply out. Queries and repeated commands, too."""
