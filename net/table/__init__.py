"""What every network costs, as a table: powerqe table."""
