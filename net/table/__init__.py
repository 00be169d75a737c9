"""What every network costs, as a table: python -m net.table."""
