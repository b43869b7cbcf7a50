"""The CF card: noticing that it comes and goes, mounting it, and its commands."""
