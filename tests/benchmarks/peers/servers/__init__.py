"""The servers that contenders need, each on a free loopback port and in a directory of its own."""
