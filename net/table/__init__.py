"""What every network costs, as a table: python -m powerqe.net.table."""
