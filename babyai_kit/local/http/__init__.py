"""What the local servers have in common: limits of connections, and refusals of what comes from elsewhere."""
