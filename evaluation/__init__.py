"""How a network is JUDGED: metrics over test sets, result tables, videos, reports."""
